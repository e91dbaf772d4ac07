#!/bin/sh
# SPDX-License-Identifier: MIT
set -eu

usage() {
  cat <<'END'
Usage: bench/run.sh [OPTION...]

Builds the benchmarks in Release and runs them: the library beside oneTBB, Asio, OpenMP,
std::execution::par, std::async, a plain std::thread pool and Python, and against what the machine
allows.
Every result is checked; a wrong one fails the run. On Debian 12 as root it first installs what is
missing; elsewhere it says what is missing and stops (status 3). Leave the machine alone meanwhile.

  --quick           a tenth of the work and fewer rounds: under 2 minutes on 2 CPUs, once built
  --only T1,Q2      these workloads (default: all, T1 to T14, threads, and Q1 to Q5, processes;
                    bench/README.md says what they are)
  --workers N       threads of every pool (default: as many as there are CPUs)
  --repetitions N   rounds in which each contestant runs once (default: 5, with --quick 2)
  --output FOLDER   where to write results.md and results.json (default: in the build folder)
  --also FOLDER     run the contestants' programs (bench_*) in this folder, too
  -j N              N compilers at once (default: as many as there are CPUs)
  -h, --help        this text

Environment:
  BUILD_DIR                    where to build (default: build/bench in the source tree)
  CXX                          the compiler
  CMAKE_CXX_COMPILER_LAUNCHER  for example ccache

The exit status is 0 only if every contestant ran and computed what it should.
END
}

source_dir=$(cd "$(dirname "$0")/.." && pwd)
build_dir=${BUILD_DIR:-$source_dir/build/bench}
output=''
also=''
only=''
jobs=$(nproc)
quick=''
workers=''
repetitions=''

fail_usage() {
  echo "$0: $1 (try --help)" >&2
  exit 2
}

number_or_fail() {
  case $2 in '' | *[!0-9]* | 0*) fail_usage "$1: not a positive number: $2" ;; esac
}

while [ $# -gt 0 ]; do
  case $1 in
    -h | --help) usage && exit 0 ;;
    --quick) quick=--quick ;;
    --only) [ $# -gt 1 ] || fail_usage "$1 needs an argument" && only=$2 && shift ;;
    --workers) [ $# -gt 1 ] || fail_usage "$1 needs an argument" && workers=$2 && shift ;;
    --repetitions) [ $# -gt 1 ] || fail_usage "$1 needs an argument" && repetitions=$2 && shift ;;
    --output) [ $# -gt 1 ] || fail_usage "$1 needs an argument" && output=$2 && shift ;;
    --also) [ $# -gt 1 ] || fail_usage "$1 needs an argument" && also=$2 && shift ;;
    -j) [ $# -gt 1 ] || fail_usage "$1 needs an argument" && jobs=$2 && shift ;;
    -j*) jobs=${1#-j} ;;
    *) fail_usage "unknown argument: $1" ;;
  esac
  shift
done
number_or_fail -j "$jobs"
[ -z "$workers" ] || number_or_fail --workers "$workers"
[ -z "$repetitions" ] || number_or_fail --repetitions "$repetitions"
[ -z "$also" ] || [ -d "$also" ] || fail_usage "--also: not a folder: $also"
[ -n "$output" ] || output=$build_dir/results

# Whether the run contains a workload.
wants() { case ",${only:-$1}," in *",$1,"*) ;; *) return 1 ;; esac; }
only=$(printf %s "$only" | tr 'a-z ' 'A-Z,')
for workload in $(printf %s "$only" | tr ',' ' '); do
  case $workload in
    T[1-9] | T1[0-4] | Q[1-5]) ;;
    *) fail_usage "--only: there is no workload $workload" ;;
  esac
done

. "$source_dir/cmake/packages.sh"
packages='g++ cmake ninja-build python3 libbenchmark-dev libtbb-dev libasio-dev libcereal-dev'
examples=OFF
if wants T13; then packages="$packages valgrind"; fi
if wants T14; then
  examples=ON
  packages="$packages libcli11-dev libcpp-httplib-dev libcurl4-openssl-dev libjpeg-dev
    libssl-dev libstb-dev"
fi
# Any version of LLVM's OpenMP runtime will do.
set -- /usr/lib/llvm-*/lib/libomp.so
[ -e "$1" ] || packages="$packages libomp-dev"
# shellcheck disable=SC2086 # packages are words
need_packages $packages
need_cmake

cmake -S "$source_dir" -B "$build_dir" -G Ninja -DCMAKE_BUILD_TYPE=Release \
  -DCONCURRENT_BUILD_BENCH=ON -DCONCURRENT_BUILD_TESTS=OFF -DCONCURRENT_BUILD_EXAMPLES=$examples
ninja -C "$build_dir" -j "$jobs"

set -- --build "$build_dir" --output "$output" $quick
[ -z "$only" ] || set -- "$@" --only "$only"
[ -z "$workers" ] || set -- "$@" --workers "$workers"
[ -z "$repetitions" ] || set -- "$@" --repetitions "$repetitions"
[ -z "$also" ] || set -- "$@" --also "$also"
compiler=$(sed -n 's/^CMAKE_CXX_COMPILER:[A-Z]*=//p' "$build_dir/CMakeCache.txt")
exec python3 "$source_dir/bench/suite.py" --compiler "$compiler" "$@"
