# SPDX-License-Identifier: MIT
#
# The interface targets, one for each namespace that users link:
#
#   concurrent::thread_pool       futures/ without processes        threads
#   concurrent::futures           all of futures/                   + processes
#   concurrent::multiprocessing   multiprocessing/                  threads, cereal
#   concurrent::concurrent        everything above
#
# A header belongs to the target that its path names; in futures/ and detail/, what is called process*
# (file or folder) belongs to concurrent::futures and the rest to concurrent::thread_pool. The globs
# see a new header by themselves (CONFIGURE_DEPENDS).

set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED)

if(NOT TARGET cereal::cereal)
  find_package(cereal QUIET)
endif()
if(TARGET cereal::cereal)
  set(CONCURRENT_HAS_CEREAL TRUE)
else()
  set(CONCURRENT_HAS_CEREAL FALSE)
  message(STATUS "concurrent: cereal was not found (Debian: libcereal-dev), so the targets that need "
                 "it are not defined: concurrent::futures, concurrent::multiprocessing, "
                 "concurrent::concurrent. concurrent::thread_pool is.")
endif()

set(CONCURRENT_INCLUDE_DIR "${PROJECT_SOURCE_DIR}/include")
set(CONCURRENT_TARGETS "")

# concurrent_headers(<variable> <module>): <module>.hpp and all that is in the folder <module>.
function(concurrent_headers variable module)
  set(base "${CONCURRENT_INCLUDE_DIR}/concurrent/${module}")
  file(GLOB umbrella CONFIGURE_DEPENDS "${base}.hpp")
  file(GLOB_RECURSE headers CONFIGURE_DEPENDS "${base}/*.hpp")
  set(${variable} ${umbrella} ${headers} PARENT_SCOPE)
endfunction()

# concurrent_add_target(<name> HEADERS <file>... LINK <target>...): defines concurrent::<name>.
function(concurrent_add_target name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "HEADERS;LINK")
  set(target concurrent_${name})
  add_library(${target} INTERFACE)
  add_library(concurrent::${name} ALIAS ${target})
  set_target_properties(${target} PROPERTIES EXPORT_NAME ${name})
  target_compile_features(${target} INTERFACE cxx_std_20)
  target_sources(${target} INTERFACE FILE_SET HEADERS BASE_DIRS "${CONCURRENT_INCLUDE_DIR}"
                                                      FILES ${arg_HEADERS})
  target_link_libraries(${target} INTERFACE ${arg_LINK})
  set(CONCURRENT_TARGETS ${CONCURRENT_TARGETS} ${target} PARENT_SCOPE)
endfunction()

concurrent_headers(detail_headers detail)
concurrent_headers(futures_headers futures)
list(APPEND futures_headers ${detail_headers})
set(thread_headers ${futures_headers})
list(FILTER thread_headers EXCLUDE REGEX
     "/concurrent/(futures\\.hpp|(futures|detail)/(.*/)?process[^/]*(/.*)?)$")
concurrent_add_target(thread_pool HEADERS ${thread_headers} LINK Threads::Threads)

if(CONCURRENT_HAS_CEREAL)
  concurrent_headers(multiprocessing_headers multiprocessing)
  concurrent_add_target(
    multiprocessing HEADERS ${multiprocessing_headers} LINK Threads::Threads cereal::cereal)

  set(process_headers ${futures_headers})
  list(REMOVE_ITEM process_headers ${thread_headers})
  concurrent_add_target(
    futures HEADERS ${process_headers} LINK concurrent_thread_pool concurrent_multiprocessing)

  concurrent_add_target(concurrent LINK concurrent_futures concurrent_multiprocessing)
endif()
