# SPDX-License-Identifier: MIT
#
# cmake -DCOMPILER= -DCOMPILER_ID= -DFLAGS= -DINCLUDE_DIRS= -DPRECOMPILED=
#       -DFILE= -P check.cmake
# Checks one file of this folder; CMakeLists.txt says what must hold. Without FILE it makes PRECOMPILED,
# the precompiled header of the process pool.

separate_arguments(flags UNIX_COMMAND "${FLAGS}")
set(command "${COMPILER}" ${flags} -std=c++20 -O0 -g0)
foreach(folder IN LISTS INCLUDE_DIRS)
  # The compiler knows /usr/include already, at the right place in its order.
  if(NOT folder STREQUAL "" AND NOT folder STREQUAL "/usr/include")
    list(APPEND command "-I${folder}")
  endif()
endforeach()

if(NOT FILE)
  file(WRITE "${PRECOMPILED}.hpp" "#include <concurrent/futures/process_pool.hpp>\n")
  if(COMPILER_ID MATCHES "Clang")
    list(APPEND command -fpch-instantiate-templates) # else each file does it again
  endif()
  execute_process(COMMAND ${command} -x c++-header -o "${PRECOMPILED}.hpp.gch" "${PRECOMPILED}.hpp"
                          COMMAND_ERROR_IS_FATAL ANY)
  return()
endif()

# What the compiler must say, from the `// expect:` lines at the top.
file(READ "${FILE}" source)
set(expected_count 0)
set(rest "${source}")
while(rest MATCHES "^// expect: ([^\n]+)\n")
  set(expected_${expected_count} "${CMAKE_MATCH_1}")
  math(EXPR expected_count "${expected_count} + 1")
  string(LENGTH "${CMAKE_MATCH_0}" length)
  string(SUBSTRING "${rest}" ${length} -1 rest)
endwhile()
if(expected_count EQUAL 0)
  message(FATAL_ERROR "${FILE}: the first line must be \"// expect: <text of the error>\"")
endif()
if(NOT source MATCHES "TWIN")
  message(FATAL_ERROR "${FILE}: there must be an #ifdef TWIN with the use that compiles")
endif()

# Nobody runs it. Clang has instantiated every template and said all it has to say before it makes code;
# g++ warns of some things later.
if(COMPILER_ID MATCHES "Clang")
  list(APPEND command -fsyntax-only "${FILE}")
else()
  list(APPEND command -c -o /dev/null "${FILE}")
endif()
# g++ would make code of it in the files that have no process pool.
if(COMPILER_ID MATCHES "Clang" OR source MATCHES "#include <concurrent/futures/process_pool.hpp>")
  list(APPEND command -include "${PRECOMPILED}.hpp")
endif()

# As a user's unoptimised build, where compilers see other things to warn of.
execute_process(COMMAND ${command} -Werror -DTWIN RESULT_VARIABLE twin OUTPUT_VARIABLE output
                ERROR_VARIABLE output)
if(NOT twin EQUAL 0)
  message(FATAL_ERROR "${FILE}: the twin must compile and does not:\n${output}")
endif()

execute_process(COMMAND ${command} RESULT_VARIABLE status OUTPUT_VARIABLE output
                ERROR_VARIABLE output)
if(status EQUAL 0)
  message(FATAL_ERROR "${FILE}: this must not compile, but it does")
endif()
math(EXPR last "${expected_count} - 1")
foreach(i RANGE ${last})
  string(FIND "${output}" "${expected_${i}}" position)
  if(position EQUAL -1)
    message(FATAL_ERROR
              "${FILE}: it does not compile, but the compiler does not say \"${expected_${i}}\":\n${output}")
  endif()
endforeach()
