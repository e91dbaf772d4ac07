#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Builds and runs projects that use concurrent the ways users do. CTest runs it, one way a test:
#
#   run.sh WAY SOURCE BUILD WORK
#
# WAY is one of the functions below, SOURCE concurrent's sources, BUILD a configured build of it, WORK a
# folder to work in. CMAKE, GENERATOR, CXX and CXXFLAGS come from the environment.
set -eu

way=$1 source=$2 build=$3 work=$4
here=$source/tests/consumer
prefix=$work/prefix

# configure FOLDER BUILD [ARGUMENT...]
configure() {
  folder=$1 binary=$2
  shift 2
  rm -rf "$binary"
  "$CMAKE" -S "$folder" -B "$binary" -G "$GENERATOR" "$@"
}

# run_all BUILD PROGRAM...
run_all() {
  binary=$1
  shift
  "$CMAKE" --build "$binary"
  for program in "$@"; do "$binary/$program"; done
}

# must_fail TEXT COMMAND...: it fails, and says TEXT on the way (line breaks count as spaces).
must_fail() {
  text=$1
  shift
  if output=$("$@" 2>&1); then
    printf '%s\nThis was to fail and did not: %s\n' "$output" "$*" >&2
    exit 1
  fi
  case $(printf '%s' "$output" | tr -s ' \n' ' ') in
    *"$text"*) ;;
    *)
      printf '%s\nThis was to fail with "%s" and failed with the above: %s\n' "$output" "$text" "$*" >&2
      exit 1
      ;;
  esac
}

# Installs somewhere and moves the tree, so that an absolute path left in it is found out.
install_tree() {
  rm -rf "$prefix" "$prefix.first"
  "$CMAKE" --install "$build" --prefix "$prefix.first"
  mv "$prefix.first" "$prefix"
}

find_package() {
  configure "$here/find_package" "$work/find_package" -DCMAKE_PREFIX_PATH="$prefix" \
    "-DCOMPONENTS=thread_pool;futures" -DVERSION=0.1
  run_all "$work/find_package" thread_pool futures
}

find_package_wrong_version() {
  must_fail 'compatible with requested version "99"' \
    configure "$here/find_package" "$work/wrong_version" -DCMAKE_PREFIX_PATH="$prefix" \
    -DCOMPONENTS=thread_pool -DVERSION=99
}

find_package_unknown_component() {
  must_fail 'component "threads": there is no such component' \
    configure "$here/find_package" "$work/unknown_component" -DCMAKE_PREFIX_PATH="$prefix" \
    -DCOMPONENTS=threads
}

# Where the user has no cereal: threads work, processes say what is missing.
find_package_without_cereal() {
  configure "$here/find_package" "$work/without_cereal" -DCMAKE_PREFIX_PATH="$prefix" \
    -DCOMPONENTS=thread_pool -DCMAKE_DISABLE_FIND_PACKAGE_cereal=ON
  run_all "$work/without_cereal" thread_pool
  must_fail 'component "futures": it needs cereal' \
    configure "$here/find_package" "$work/without_cereal" -DCMAKE_PREFIX_PATH="$prefix" \
    -DCOMPONENTS=futures -DCMAKE_DISABLE_FIND_PACKAGE_cereal=ON
}

# Where concurrent was installed without cereal: the same.
install_without_cereal() {
  configure "$source" "$work/build_without_cereal" -DCMAKE_DISABLE_FIND_PACKAGE_cereal=ON \
    -DCONCURRENT_BUILD_TESTS=OFF -DCONCURRENT_BUILD_BENCH=OFF -DCONCURRENT_BUILD_EXAMPLES=OFF
  "$CMAKE" --install "$work/build_without_cereal" --prefix "$work/prefix_without_cereal"
  configure "$here/find_package" "$work/installed_without_cereal" \
    -DCMAKE_PREFIX_PATH="$work/prefix_without_cereal" -DCOMPONENTS=thread_pool
  run_all "$work/installed_without_cereal" thread_pool
  must_fail 'component "futures": this installation of concurrent was configured without cereal' \
    configure "$here/find_package" "$work/installed_without_cereal" \
    -DCMAKE_PREFIX_PATH="$work/prefix_without_cereal" -DCOMPONENTS=futures
}

add_subdirectory() {
  configure "$here/add_subdirectory" "$work/add_subdirectory" -DSOURCE="$source"
  run_all "$work/add_subdirectory" thread_pool futures
}

# shellcheck disable=SC2086 # flags are words
pkg_config() {
  flags=$(PKG_CONFIG_PATH=$prefix/share/pkgconfig pkg-config --cflags --libs "concurrent >= 0.1")
  $CXX $CXXFLAGS -std=c++20 -o "$work/pkg_config" "$here/futures.cpp" $flags
  "$work/pkg_config"
}

# shellcheck disable=SC2086
plain_include() {
  for unit in main multiply; do
    $CXX $CXXFLAGS -std=c++20 -I "$source/include" -c -o "$work/$unit.o" "$here/two_units/$unit.cpp"
  done
  $CXX $CXXFLAGS -pthread -o "$work/plain_include" "$work/main.o" "$work/multiply.o"
  "$work/plain_include"
}

# compile SOURCE OBJECT [FLAG...]
# shellcheck disable=SC2086
compile() {
  from=$1 object=$2
  shift 2
  $CXX $CXXFLAGS -std=c++20 -I "$source/include" "$@" -c -o "$object" "$here/$from"
}

# Into a library of its own, from which the linker takes it; also for objects that were compiled
# with everything in their headers.
# shellcheck disable=SC2086
separate_compilation() {
  folder=$work/separate
  rm -rf "$folder"
  mkdir -p "$folder"
  cd "$folder"
  separate=-DCONCURRENT_SEPARATE_COMPILATION
  compile separate/behind.cpp behind.o $separate
  ar rcs libbehind.a behind.o
  compile two_units/main.cpp main.o $separate
  compile two_units/multiply.cpp multiply.o $separate
  compile two_units/multiply.cpp whole_multiply.o
  compile futures.cpp futures.o $separate
  for program in 'main.o multiply.o' 'main.o whole_multiply.o' futures.o; do
    $CXX $CXXFLAGS -pthread -o program $program -L. -lbehind
    ./program
  done
  # Only the one file has them.
  behind=' [TWV] .*(detail::Worker::|ThreadPoolCore::submit|Engine::push|codec_row)'
  if nm -C main.o futures.o | grep -E "$behind"; then exit 1; fi
  nm -C behind.o | grep -qE "$behind"
  must_fail 'ThreadPoolCore::submit' $CXX $CXXFLAGS -pthread -o program main.o multiply.o
  must_fail 'process::Engine::submit' $CXX $CXXFLAGS -pthread -o program futures.o
}

mkdir -p "$work"
$way
