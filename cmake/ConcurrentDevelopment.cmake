# SPDX-License-Identifier: MIT
#
# Warnings and sanitisers for our own tests, examples and benchmarks: one private target that nobody
# outside this build ever sees. Link concurrent_development to get them.

option(CONCURRENT_WERROR "Treat warnings in our own programs as errors" OFF)
set(CONCURRENT_SANITIZE "" CACHE STRING "Sanitisers for our own programs: thread, or address,undefined")
set_property(CACHE CONCURRENT_SANITIZE PROPERTY STRINGS "" thread address,undefined)

add_library(concurrent_development INTERFACE)
target_compile_features(concurrent_development INTERFACE cxx_std_20)
target_compile_options(
  concurrent_development
  INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wnon-virtual-dtor
            -Wold-style-cast $<$<BOOL:${CONCURRENT_WERROR}>:-Werror>)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  # g++ 12 finds overlaps and overflows in `"text" + std::string()` (GCC bugs 105329 and 105651).
  target_compile_options(concurrent_development INTERFACE -Wno-restrict -Wno-stringop-overflow)
endif()
if(CONCURRENT_SANITIZE)
  target_compile_options(
    concurrent_development INTERFACE -fsanitize=${CONCURRENT_SANITIZE} -fno-omit-frame-pointer
                                     -fno-sanitize-recover=all)
  target_link_options(concurrent_development INTERFACE -fsanitize=${CONCURRENT_SANITIZE})
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CONCURRENT_SANITIZE MATCHES "thread")
    # libstdc++ uses fences that TSan does not model; g++ says so in every file.
    target_compile_options(concurrent_development INTERFACE -Wno-tsan)
  endif()
endif()

# All programs run where they can find each other, whatever folder they were built from.
set(CONCURRENT_EXAMPLES_BINARY_DIR "${PROJECT_BINARY_DIR}/examples")

# concurrent_program(<target> <file>...): one of our own programs, with warnings and sanitisers.
function(concurrent_program target)
  add_executable(${target} ${ARGN})
  set_target_properties(${target} PROPERTIES CXX_EXTENSIONS OFF)
  target_link_libraries(${target} PRIVATE concurrent_development)
endfunction()
