# SPDX-License-Identifier: MIT
#
# cmake -DCOMPILER= -DOBJDUMP= -DINCLUDE_DIR= -DFILE= -DOBJECT= -P check.cmake
# Compiles the file and fails if a loop of it is in a section for what is seldom run.
execute_process(COMMAND "${COMPILER}" -std=c++20 -O2 -c "-I${INCLUDE_DIR}" -o "${OBJECT}" "${FILE}"
                COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND "${OBJDUMP}" -t "${OBJECT}" OUTPUT_VARIABLE symbols
                COMMAND_ERROR_IS_FATAL ANY)
file(READ "${FILE}" source)
string(REGEX MATCHALL "\n *LOOP\\([a-z_]+," loops "${source}")
set(wrong "")
foreach(loop IN LISTS loops)
  string(REGEX REPLACE ".*LOOP\\(([a-z_]+)," "\\1" name "${loop}")
  string(REGEX MATCHALL "\\.text[^\t]*\t[0-9a-f]+ loop_${name}_[0-9]+\n" places "${symbols}")
  if(NOT places)
    list(APPEND wrong "${name} is nowhere")
  elseif(places MATCHES "unlikely")
    list(APPEND wrong "${name} is compiled as if it was seldom run")
  endif()
endforeach()
list(LENGTH loops count)
if(wrong OR count LESS 25)
  list(JOIN wrong "\n  " wrong)
  message(FATAL_ERROR "of ${count} loops:\n  ${wrong}")
endif()
