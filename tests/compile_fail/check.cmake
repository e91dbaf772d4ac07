# SPDX-License-Identifier: MIT
#
# cmake -DCOMPILER= -DFLAGS= -DINCLUDE_DIRS= -DFILE= -P check.cmake
# Checks one file of this folder; CMakeLists.txt says what must hold.

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

separate_arguments(flags UNIX_COMMAND "${FLAGS}")
set(command "${COMPILER}" ${flags} -std=c++20)
foreach(folder IN LISTS INCLUDE_DIRS)
  # The compiler knows /usr/include already, at the right place in its order.
  if(NOT folder STREQUAL "" AND NOT folder STREQUAL "/usr/include")
    list(APPEND command "-I${folder}")
  endif()
endforeach()
# Not -fsyntax-only: every template is to be instantiated as in a real build. Nobody runs it.
list(APPEND command -O0 -c -o /dev/null "${FILE}")

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
