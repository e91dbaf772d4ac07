#!/bin/sh
# SPDX-License-Identifier: MIT
set -eu

usage() {
  cat <<'END'
Usage: examples/run.sh [OPTION...]

Builds the example programs and runs them: pictures are made and processed, files are served by a local
server and downloaded, one after the other and then side by side, with the times. Needs no internet.
On Debian 12 as root it first installs what is missing; elsewhere it says what is missing and stops
(status 3).

  --output FOLDER   where to put pictures and downloads (default: a new folder under ${TMPDIR:-/tmp})
  --build-only      build, but run nothing
  -j N              N compilers at once (default: as many as there are CPUs)
  -h, --help        this text

Environment:
  BUILD_DIR   where to build (default: build/examples in the source tree)
END
}

source_dir=$(cd "$(dirname "$0")/.." && pwd)
build_dir=${BUILD_DIR:-$source_dir/build/examples}
output=''
build_only=no
jobs=$(nproc)

fail_usage() {
  echo "$0: $1 (try --help)" >&2
  exit 2
}

while [ $# -gt 0 ]; do
  case $1 in
    -h | --help) usage && exit 0 ;;
    --output) [ $# -gt 1 ] || fail_usage "$1 needs an argument" && output=$2 && shift ;;
    --build-only) build_only=yes ;;
    -j) [ $# -gt 1 ] || fail_usage "$1 needs an argument" && jobs=$2 && shift ;;
    -j*) jobs=${1#-j} ;;
    *) fail_usage "unknown argument: $1" ;;
  esac
  shift
done
case $jobs in '' | *[!0-9]* | 0) fail_usage "-j: not a number of jobs: $jobs" ;; esac

. "$source_dir/cmake/packages.sh"
need_packages g++ cmake ninja-build libcereal-dev libcli11-dev libcpp-httplib-dev \
  libcurl4-openssl-dev libjpeg-dev libssl-dev libstb-dev
need_cmake

cmake -S "$source_dir" -B "$build_dir" -G Ninja -DCMAKE_BUILD_TYPE=Release \
  -DCONCURRENT_BUILD_EXAMPLES=ON -DCONCURRENT_BUILD_TESTS=OFF -DCONCURRENT_BUILD_BENCH=OFF
ninja -C "$build_dir" -j "$jobs"
[ "$build_only" = no ] || exit 0

if [ -z "$output" ]; then
  output=$(mktemp -d "${TMPDIR:-/tmp}/concurrent-examples.XXXXXX")
fi
mkdir -p "$output"

# run TITLE COMMAND...: goes on after a failure, so that one run shows everything.
status=0
run() {
  printf '\n== %s\n' "$1"
  shift
  printf '$ %s\n' "$*"
  "$@" || {
    failed=$?
    echo "$0: this ended with status $failed: $*" >&2
    status=1
  }
}

run 'Pictures through a process pool, a thread pool, and one after the other' \
  "$build_dir/examples/image_processing" --compare --output "$output/pictures"
run 'Downloads through a thread pool, and one after the other' \
  "$build_dir/examples/parallel_download" --demo --compare --output "$output/downloads"

printf '\nWhat they made is in %s\n' "$output"
exit "$status"
