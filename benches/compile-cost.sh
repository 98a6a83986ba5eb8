#!/bin/sh
# Measures what the engine costs a program that embeds it: time to compile from nothing, crates, and
# size of the stripped program, beside tokio::process. The argument is a checkout of this project;
# without one it is this one. Other work on the machine makes the times worthless.
set -eu
engine=$(cd "${1:-$(dirname "$0")/..}" && pwd)
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT

# Creates a program: its name, its dependencies, its main function.
program() {
    mkdir -p "$home/$1/src"
    cat >"$home/$1/Cargo.toml" <<TOML
[package]
name = "$1"
version = "0.1.0"
edition = "2024"

[dependencies]
tokio = { version = "1", features = ["macros", "process", "rt"] }
$2

[profile.release]
strip = true

[workspace]
TOML
    printf '%s\n' "$3" >"$home/$1/src/main.rs"
}

program baseline '' '#[tokio::main(flavor = "current_thread")]
async fn main() {
    let output = tokio::process::Command::new("echo").arg("hello").output().await.unwrap();
    print!("{}", String::from_utf8_lossy(&output.stdout));
}'
hello='use execution_engine::*;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let engine = ExecutionEngine::new(ExecutionConfig::default())?;
    print!("{}", engine.run(ExecutionRequest::exec("echo", ["hello"])).await?.stdout);
    Ok(())
}'
program engine "execution-engine = { path = \"$engine\" }" "$hello"
program lean "execution-engine = { path = \"$engine\", default-features = false }" "$hello"

now() { date +%s.%N; }
printf '%-10s %8s %10s %10s %12s\n' program crates 'debug, s' 'release, s' 'size, bytes'
for name in baseline engine lean; do
    cd "$home/$name"
    cargo fetch --quiet
    crates=$(cargo tree --edges normal --prefix none | sort -u | wc -l)
    times=
    for profile in dev release; do
        begun=$(now)
        cargo build --quiet --offline --profile "$profile"
        times="$times $(echo "$begun $(now)" | awk '{ printf "%.1f", $2 - $1 }')"
    done
    [ "$(target/release/"$name")" = hello ]
    size=$(wc -c <target/release/"$name")
    # shellcheck disable=SC2086 # two words
    printf '%-10s %8s %10s %10s %12s\n' "$name" "$crates" $times "$size"
done
