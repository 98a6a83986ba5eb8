/*
 * Lets the keepers of a service have the preloaded libraries of the service, which starts them with a small environment.
 *
 * Programs that the keepers run have the environment of their requests, and none of this.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern char **environ;

static const char *const NAMES[] = {
    "LD_PRELOAD", "RECORDER_ROOT", "RECORDER_LOG", "FAULTS_ROOT", "FAULTS_CONTROL",
};
enum { NAME_COUNT = sizeof NAMES / sizeof *NAMES, MOST = 256 };

static char entries[NAME_COUNT][8192];

/* The process that starts a keeper has the variables; they are written down before it has threads. */
__attribute__((constructor)) static void begin(void) {
    for (int i = 0; i < NAME_COUNT; i++) {
        const char *value = getenv(NAMES[i]);
        if (value && strlen(NAMES[i]) + strlen(value) + 2 <= sizeof entries[i]) {
            strcpy(entries[i], NAMES[i]);
            strcat(entries[i], "=");
            strcat(entries[i], value);
        }
    }
}

/* Fills `all` with an environment and the variables, and returns what the child gets. */
static char **with_libraries(char *const arguments[], char *const environment[], char *all[MOST]) {
    int is_keeper = arguments && arguments[0] && arguments[1] && strcmp(arguments[1], "keeper") == 0;
    int count = 0;
    if (!is_keeper)
        return (char **)environment;
    while (environment && environment[count] && count < MOST - NAME_COUNT - 1) {
        all[count] = environment[count];
        count++;
    }
    for (int i = 0; i < NAME_COUNT; i++)
        if (entries[i][0])
            all[count++] = entries[i];
    all[count] = NULL;
    return all;
}

int posix_spawnp(pid_t *pid, const char *file, const posix_spawn_file_actions_t *actions,
                 const posix_spawnattr_t *attributes, char *const arguments[], char *const environment[]) {
    int (*real)(pid_t *, const char *, const posix_spawn_file_actions_t *, const posix_spawnattr_t *, char *const[],
                char *const[]);
    *(void **)&real = dlsym(RTLD_NEXT, "posix_spawnp");
    char *all[MOST];
    return real(pid, file, actions, attributes, arguments, with_libraries(arguments, environment, all));
}

int execvp(const char *file, char *const arguments[]) {
    char *all[MOST];
    return execvpe(file, arguments, with_libraries(arguments, environ, all));
}
