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
  exeng submit --every @daily -- ./backup       again and again; see exeng schedule
  exeng submit --after-ok \"$id\" -- ./deploy     when that one has succeeded
  exeng submit --after \"$id\" -- ./clean-up      when that one has ended, however";

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
  exeng logs -f --prefix \"$one\" \"$two\"          both at once, each line with whose it is
  exeng logs --raw --stream stdout \"$id\" >out   exactly the bytes";

pub(crate) const WAIT: &str = "\
Examples:
  exeng wait @last; echo $?                     its exit code, whenever you ask
  exeng wait --timeout 10m \"$one\" \"$two\"        124 if they have not ended by then
  exeng wait --tag nightly --since today        all of them; exit with the code of the first that failed";

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

pub(crate) const SCHEDULE: &str = "\
Examples:
  exeng submit --every '30 2 * * mon-fri' --name backup -- ./backup
  exeng schedule ls                             what runs next, and when
  exeng schedule run --follow backup            now, once, whatever its times are
  exeng ls --schedule backup                    its runs
  exeng schedule pause backup && exeng schedule resume backup
Times are those of the time zone that it was made in. A time that the clocks leave out comes right after it, and one \
that comes twice counts once; where hour or minute have * or a step, each hour that passes counts.";

pub(crate) const GROUP: &str = "\
Examples:
  exeng group set gpu --max-running 2           two of `submit --group gpu` at a time; others do not wait for them
  exeng group pause nightly                     start nothing of it for now; what runs goes on
  exeng group ls                                limits, and how many run and wait
  exeng stop --group gpu                        stop all of a group";

pub(crate) const GC: &str = "\
Examples:
  exeng gc                                      what the service does by itself each minute
  exeng gc --dry-run --older-than 7d            how much has ended more than a week ago
  exeng gc --keep 1000 --max-bytes 1G           for this once: no more than the last thousand, and no more than 1 GiB
What is pinned (exeng pin), waits or runs stays. To remove some, see `exeng rm`.";

pub(crate) const EXPORT: &str = "\
Examples:
  exeng export --tag nightly --output nightly.tar.zst
  exeng export --output last.jsonl @last        a line of JSON for each, with its output
  exeng export | ssh other exeng import -       to another machine
Values of environments are in no export, and neither is input. What runs is exported as it is now.
Of plans and schedules the steps and runs are exported, and not the plans and schedules themselves.";

pub(crate) const IMPORT: &str = "\
Examples:
  exeng import nightly.tar.zst
  exeng import --state-dir ./copy nightly.tar   into a service of its own
Executions keep their ids, and what is there already is left alone. One that had not ended is left out. They are the \
latest of this service (exeng ls), and retention measures their age from now on. Plans and schedules \
themselves are in no archive.";

pub(crate) const KEEPERS: &str = "\
Examples:
  exeng keepers                                 which processes run programs, and how many
  exeng keepers --json | jq '.[].pid'";

pub(crate) const DOCTOR: &str = "\
Examples:
  exeng doctor                                  what works here, what does not, and how to mend it
  exeng doctor --json | jq .service.pid";

pub(crate) const TOKEN: &str = "\
Examples:
  exeng token create phone --scope read         may look; prints the token, which is shown only this once
  exeng token create ci --scope run --expires 90d --file ci.token
  exeng token ls                                names, scopes and times
  exeng token revoke ci                         refused from now on, and what is open for it ends
Scopes: read looks at executions and their output; run submits and controls, too; admin does everything, tokens included; \
mcp speaks MCP alone. Whoever may run may do on this machine what you may.";

pub(crate) const SERVE: &str = "\
Examples:
  exeng serve                                   until Ctrl-C; programs go on
  EXENG_LOG=info exeng serve --state-dir ./jobs a service of its own, which says more
  exeng serve --listen 127.0.0.1:7171           over TCP as well, with tokens: see exeng token
  exeng serve --listen 0.0.0.0:7171 --tls-cert host.pem --tls-key host.key
Settings are in config.toml, and count from the next start on (exeng service restart): max_running = 8 (programs at a \
time), durability = \"power\", under [retention] max_age = \"30d\", max_count, max_bytes = \"2G\", and under [http] listen = \
\"127.0.0.1:7171\", hosts = [\"build.example\"], tls_cert and tls_key.";

#[cfg(feature = "fleet")]
pub(crate) const FLEET: &str = "\
Examples:
  exeng fleet init --on nats://127.0.0.1:4222   a pool and a tenant, both called default
  exeng worker --on nats://127.0.0.1:4222       on each machine
  exeng run --on nats://127.0.0.1:4222 -- make  on one of them
In the configuration file, for --on main: [fleet.main] with servers = [\"tls://a:4222\", ..], ca, cert, key, nkey, creds, \
inbox and tenant (or EXENG_TENANT).";

#[cfg(feature = "fleet")]
pub(crate) const FLEET_INIT: &str = "\
Examples:
  exeng fleet init --on nats://127.0.0.1:4222   one server on this machine, to try it
  exeng fleet init --on main --replicas 3 --keys ./keys
  exeng fleet init --on main --pool gpu:zone=a --tenant research --max-running 8";

#[cfg(feature = "fleet")]
pub(crate) const FLEET_STATUS: &str = "\
Examples:
  exeng fleet status --on main
  exeng fleet status --on main --json | jq .queued";

#[cfg(feature = "fleet")]
pub(crate) const FLEET_WORKERS: &str = "\
Examples:
  exeng fleet workers --on main                 which run, and how much
  exeng fleet workers --on main --json | jq -r .worker";

#[cfg(feature = "fleet")]
pub(crate) const FLEET_ARTIFACTS: &str = "\
Examples:
  exeng run --on main --input data.csv --collect 'out/*.csv' --shell 'mkdir out; ./convert data.csv > out/a.csv'
  exeng fleet artifacts --on main @last         their digests and paths
  exeng fleet artifacts --on main @last --to results";

#[cfg(feature = "fleet")]
pub(crate) const FLEET_DRAIN: &str = "\
Examples:
  exeng fleet drain --on main build7            before its machine is restarted";

#[cfg(feature = "fleet")]
pub(crate) const WORKER: &str = "\
Examples:
  exeng worker --on nats://127.0.0.1:4222       all pools that this machine fits, until Ctrl-C
  exeng worker --on main --pool gpu --slots 2 --label gpu=a100 --keys worker.keys
  exeng worker --on main --plans 0              runs executions and conducts no plans
The first Ctrl-C (or SIGTERM) takes no more executions and waits for those that run; the second gives them back to the \
fleet. A second process watches over the worker: if the worker stands still or is cut off for longer than its lease \
(10 s), it and all that it runs are killed, and a new one is started.";

pub(crate) const SERVICE: &str = "\
Examples:
  exeng service install                         a unit of yours; it says what the host lacks to outlive a log-out
  sudo exeng service install --system --state-dir /var/lib/exeng
  exeng service restart                         after an upgrade; what runs goes on";

pub(crate) const PLAN: &str = "\
Examples:
  exeng plan check ci.toml                      what it would run, or its mistakes with their lines
  exeng plan run ci.toml                        run it, with live progress
  exeng plan resume @last                       run what has not completed
docs/plans-files.md has all that a file may have.";

pub(crate) const PLAN_RUN: &str = "\
A file, in TOML:
  [[steps]]
  name = \"build\"
  command = \"make\"

  [[steps]]
  name = \"test\"
  command = [\"make\", \"check\"]
  after = [\"build\"]
Examples:
  exeng plan run ci.toml                        live progress; exit with the code of the step that failed
  exeng plan run --detach ci.yaml               print the id; the plan goes on
  exeng plan run --junit out.xml ci.json        for tools that read the results of tests
  generate | exeng plan run --format yaml -     from a program";

pub(crate) const PLAN_LS: &str = "\
Examples:
  exeng plan ls --status running                what runs now
  exeng plan ls --json | jq -r .id              for a program";

pub(crate) const PLAN_SHOW: &str = "\
Examples:
  exeng plan show @last                         the steps of the newest, and their executions
  exeng plan show --mermaid 3f2a > plan.mmd     a picture with what became of each step
  exeng plan show --json @last | jq .counts";

pub(crate) const PLAN_LOGS: &str = "\
Examples:
  exeng plan logs -f @last                      of all steps, until the plan has ended
  exeng plan logs --step test --tail 20 @last";

pub(crate) const PLAN_WAIT: &str = "\
Examples:
  exeng plan wait @last                         live progress, also of one that somebody else has started
  exeng plan wait --timeout 1h \"$id\"            124 if it has not ended by then";

pub(crate) const PLAN_STOP: &str = "\
Examples:
  exeng plan stop @last                         its cleanup (steps that always run) still runs
  exeng plan stop --all @last                   all of it";

pub(crate) const PLAN_RESUME: &str = "\
Examples:
  exeng plan resume @last                       steps that have completed are not run again
  exeng plan resume --detach 3f2a";

pub(crate) const PLAN_RM: &str = "\
Examples:
  exeng plan rm @last
  exeng rm --plan 3f2a && exeng plan rm 3f2a    with the executions of its steps, first";

pub(crate) const PLAN_CHECK: &str = "\
Examples:
  exeng plan check ci.toml                      what it would run, or its mistakes with their lines
  exeng plan check --json plans/*.yaml          for a program";

pub(crate) const PLAN_GRAPH: &str = "\
Examples:
  exeng plan graph ci.toml > ci.mmd             a picture, for Mermaid";

pub(crate) const PLAN_SCHEMA: &str = "\
Examples:
  exeng plan schema > plan.schema.json          for an editor that completes and checks plans";

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
  exeng signal USR1 \"$id\"                       what it means is up to the program
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
  exeng rerun --follow \"$id\"                    the same, with its output, and exit with its code
  exeng rerun --env TOKEN \"$id\"                 values that submit was given are not kept: give them again
It has the same command, directory, limits, tags, group and priority. Variables that it inherited are those of whoever \
runs this. Input that was written to it or stored, and what it followed (--after, --after-ok), are not repeated.";

pub(crate) const INPUT: &str = "\
Examples:
  id=$(exeng submit --stdin pipe -- ./ask)
  exeng input \"$id\" yes                         a line
  seq 1000000 | exeng input \"$id\" --eof         what is read here, and then the end
What the program does not read waits here, but for the last 64 KiB.";

pub(crate) const ATTACH: &str = "\
Examples:
  exeng attach @last                            the last ten lines of the newest, and what follows
  exeng attach -n 100 --no-input \"$id\"          watch it, and pass nothing on
Ctrl-C leaves the program alone. What is typed goes to a program that was submitted with --stdin pipe, and Ctrl-D (or the \
end of what is read here) closes its input. The exit code is that of the program; after Ctrl-C it is 0.";

pub(crate) const RESUME: &str = "\
Examples:
  exeng resume @last                            go on where it was paused
  exeng ls --json | jq -r 'select(.paused) | .id' | xargs exeng resume";
