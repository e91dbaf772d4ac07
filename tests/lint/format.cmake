# SPDX-License-Identifier: MIT
#
# cmake -DCLANG_FORMAT= -DSOURCE= -P format.cmake: every source is as .clang-format has it.
set(files "")
foreach(folder include tests examples bench)
  file(GLOB_RECURSE found "${SOURCE}/${folder}/*.hpp" "${SOURCE}/${folder}/*.cpp")
  list(APPEND files ${found})
endforeach()
execute_process(COMMAND "${CLANG_FORMAT}" --dry-run --Werror ${files} RESULT_VARIABLE status
                ERROR_VARIABLE output)
if(NOT status EQUAL 0)
  string(REGEX MATCHALL "[^\n]+: error: " lines "${output}")
  list(LENGTH lines count)
  message(FATAL_ERROR "${output}\nNot formatted, ${count} places; clang-format-14 -i mends them")
endif()
