//! Examples below the help of each verb.

pub(crate) const RUN: &str = "\
Examples:
  exeng run --timeout 30s -- make test          true exit code, nothing left behind; 124 if it takes longer
  exeng run --retry 2 --limit memory=1G -- ./job
  exeng run --shell 'sort names | uniq -c'
  exeng run --json result.json -- make          ending, usage and receipt in a file";

pub(crate) const SUBMIT: &str = "\
Examples:
  exeng submit -- make test                     print the id, and return at once
  exeng submit --follow -- make test            the same, with its output, and exit with its code
  exeng submit --key nightly-7 -- ./nightly     once, however often this line runs
  exeng submit --at 22:00 -- ./backup           tonight
  exeng submit --after \"$id\" -- ./deploy        when that one has succeeded";

pub(crate) const LS: &str = "\
Examples:
  exeng ls --status running                     what runs now
  exeng ls --tag nightly --since 2h             of the last two hours
  exeng ls --status failed,lost,timeout --all   everything that did not work
  exeng ls --json | jq -r .id                   for a program";

pub(crate) const SHOW: &str = "\
Examples:
  exeng show @last                              the newest
  exeng show 3f2a                               a beginning of an id is enough
  exeng show --json @last | jq .exit_code";

pub(crate) const LOGS: &str = "\
Examples:
  exeng logs -f @last                           what the newest writes, until it ends
  exeng logs --raw --stream stdout \"$id\" >out  exactly the bytes";

pub(crate) const WAIT: &str = "\
Examples:
  exeng wait @last; echo $?                     its exit code, whenever you ask
  exeng wait --timeout 10m \"$one\" \"$two\"        124 if they have not ended by then";

pub(crate) const STOP: &str = "\
Examples:
  exeng stop @last                              politely: SIGTERM, and SIGKILL after a grace
  exeng stop --firm 3f2a 77b0                   at once
  exeng stop --tag nightly                      all with this tag that run or wait";

pub(crate) const RM: &str = "\
Examples:
  exeng rm @last                                with its output
  exeng rm 3f2a 77b0
  exeng rm --status failed --until 7d           what failed a week ago or longer";

pub(crate) const KEEPERS: &str = "\
Examples:
  exeng keepers                                 which processes run programs, and how many
  exeng keepers --json | jq '.[].pid'";

pub(crate) const DOCTOR: &str = "\
Examples:
  exeng doctor                                  what works here, what does not, and how to mend it
  exeng doctor --json | jq .service.pid";

pub(crate) const SERVE: &str = "\
Examples:
  exeng serve                                   until Ctrl-C; programs go on
  EXENG_LOG=info exeng serve --state-dir ./jobs a service of its own, which says more";

pub(crate) const SERVICE: &str = "\
Examples:
  exeng service install                         a unit of yours; it says what the host lacks to outlive a log-out
  sudo exeng service install --system --state-dir /var/lib/exeng
  exeng service restart                         after an upgrade; what runs goes on";

pub(crate) const COMPLETIONS: &str = "\
Examples (each line belongs into the file that the shell reads when it starts):
  source <(exeng completions bash)              ~/.bashrc
  source <(exeng completions zsh)               ~/.zshrc, after compinit
  exeng completions fish | source               ~/.config/fish/config.fish";

pub(crate) const MAN: &str = "\
Examples:
  exeng man | man -l -                          read the page of exeng
  exeng man submit | man -l -                   that of a verb
  exeng man --to ~/.local/share/man/man1        for man exeng, man exeng-submit, ..";

pub(crate) const SIGNAL: &str = "\
Examples:
  exeng signal HUP @last                        let the newest read its configuration again
  exeng signal USR1 \"$id\"                      what it means is up to the program
To end an execution use `exeng stop`: a signal may be ignored.";

pub(crate) const PAUSE: &str = "\
Examples:
  exeng pause @last                             freeze the newest; its timeout does not run meanwhile
  exeng pause \"$id\" && exeng resume \"$id\"
What waits in the queue is held there: it does not start until it is resumed.";

pub(crate) const PIN: &str = "\
Examples:
  exeng pin @last                               keep it and its output, however old it gets
  exeng pin --remove \"$id\"                      let it go the way of the others";

pub(crate) const RERUN: &str = "\
Examples:
  exeng rerun @last                             the newest once more; prints the new id
  exeng rerun --follow \"$id\"                   the same, with its output, and exit with its code
  exeng rerun --env TOKEN \"$id\"                values that submit was given are not kept: give them again
It has the same command, directory, limits, tags, group and priority. Variables that it inherited are those of whoever
runs this. Input that was written to it or stored, and what it followed (--after), are not repeated.";

pub(crate) const INPUT: &str = "\
Examples:
  id=$(exeng submit --stdin pipe -- ./ask)
  exeng input \"$id\" yes                        a line
  seq 1000000 | exeng input \"$id\" --eof        what is read here, and then the end
What the program does not read waits here, but for the last 64 KiB.";

pub(crate) const ATTACH: &str = "\
Examples:
  exeng attach @last                            the last ten lines of the newest, and what follows
  exeng attach -n 100 --no-input \"$id\"         watch it, and pass nothing on
Ctrl-C leaves the program alone. What is typed goes to a program that was submitted with --stdin pipe, and Ctrl-D (or the
end of what is read here) closes its input. The exit code is that of the program; after Ctrl-C it is 0.";

pub(crate) const RESUME: &str = "\
Examples:
  exeng resume @last                            go on where it was paused
  exeng ls --json | jq -r 'select(.paused) | .id' | xargs exeng resume";
