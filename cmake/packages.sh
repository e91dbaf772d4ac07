# SPDX-License-Identifier: MIT
# shellcheck shell=sh
#
# For tests/run.sh and examples/run.sh: makes sure that Debian packages are there. As root on a system
# with apt-get they are installed; anywhere else the script says what is missing and ends (status 3).

# A file or program that shows that a package is there, for systems that do not have dpkg.
probe_of() {
  case $1 in
    g++) echo g++ ;;
    cmake) echo cmake ;;
    ninja-build) echo ninja ;;
    pkg-config) echo pkg-config ;;
    gdb) echo gdb ;;
    clang-19) echo clang++-19 ;;
    clang-tidy-19) echo clang-tidy-19 ;;
    clang-format-14) echo clang-format-14 ;;
    catch2) echo 'catch2/catch.hpp catch2/catch_all.hpp' ;;
    libcereal-dev) echo cereal/cereal.hpp ;;
    libcli11-dev) echo CLI/CLI.hpp ;;
    libcpp-httplib-dev) echo httplib.h ;;
    libcurl4-openssl-dev) echo curl/curl.h ;;
    libjpeg-dev) echo jpeglib.h ;;
    libstb-dev) echo stb/stb_image.h ;;
    libbenchmark-dev) echo benchmark/benchmark.h ;;
    libtbb-dev) echo oneapi/tbb/task_group.h ;;
    libasio-dev) echo asio.hpp ;;
    python3) echo python3 ;;
    valgrind) echo valgrind ;;
    *) ;; # a part of another package that is probed
  esac
}

# has_any PROBE...: a program in PATH, or a header that the compiler finds.
has_any() {
  for probe in "$@"; do
    case $probe in
      *.h | *.hpp)
        for folder in /usr/include /usr/local/include /usr/include/"$(uname -m)"-linux-gnu; do
          [ -e "$folder/$probe" ] && return 0
        done
        ;;
      *) command -v "$probe" >/dev/null 2>&1 && return 0 ;;
    esac
  done
  return 1
}

has_package() {
  if command -v dpkg-query >/dev/null 2>&1; then
    dpkg-query -W -f='${db:Status-Status}\n' "$1" 2>/dev/null | grep -qx installed
    return
  fi
  probes=$(probe_of "$1")
  # shellcheck disable=SC2086 # probes are words
  [ -z "$probes" ] || has_any $probes
}

apt_get() {
  DEBIAN_FRONTEND=noninteractive apt-get -y -q -o DPkg::Lock::Timeout=300 "$@" </dev/null
}

install_packages() {
  echo "Installing: $*"
  apt_get update || { sleep 5 && apt_get update; } || return 1
  apt_get install --no-install-recommends "$@"
}

# need_packages PACKAGE...: returns when all of them are there, ends the script otherwise.
need_packages() {
  missing=''
  for package in "$@"; do
    has_package "$package" || missing="$missing $package"
  done
  [ -n "$missing" ] || return 0
  if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
    # shellcheck disable=SC2086
    install_packages $missing && return 0
    echo "$0: apt-get could not install what is missing:$missing" >&2
    exit 3
  fi
  echo "$0: missing:$missing" >&2
  if command -v apt-get >/dev/null 2>&1; then
    echo "Run this script as root, or: sudo apt-get install$missing" >&2
  else
    echo "(those are Debian's names) Install them with this system's package manager:" >&2
    for package in $missing; do
      echo "  $package: looked for $(probe_of "$package" | sed 's/ / or /g')" >&2
    done
  fi
  exit 3
}

# need_cmake: CMake is new enough.
need_cmake() {
  version=$(cmake --version | sed -n 's/^cmake version \([0-9.]*\).*/\1/p')
  if [ "$(printf '%s\n' 3.25 "$version" | sort -V | head -n 1)" != 3.25 ]; then
    echo "$0: CMake 3.25 or newer is needed; this one is $version" >&2
    exit 3
  fi
}
