# Installs the SDK into a folder of the build tree, then builds the host examples against it as a
# customer would, and runs minimal; then a project that uses the adapters. Run by CTest with -DBUILD,
# -DSOURCE, -DPYTHON_ROOT.

function(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE status OUTPUT_VARIABLE text ERROR_VARIABLE text)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "${ARGN}: ${status}\n${text}")
  endif()
  set(text "${text}" PARENT_SCOPE)
endfunction()

set(prefix ${BUILD}/consumer/sdk)
file(REMOVE_RECURSE ${BUILD}/consumer)
run(${CMAKE_COMMAND} --install ${BUILD} --prefix ${prefix})
run(${CMAKE_COMMAND} -G Ninja -S ${SOURCE}/host-example -B ${BUILD}/consumer/build
  -DCMAKE_PREFIX_PATH=${prefix} -DPython3_ROOT_DIR=${PYTHON_ROOT})
run(${CMAKE_COMMAND} --build ${BUILD}/consumer/build)
run(${prefix}/bin/bine -c "import bine; bine.sleep(0)")
run(${BUILD}/consumer/build/minimal)
foreach(line "[frame  90] the door opened: a cat" "] tick 2" "] done")
  string(FIND "${text}" "${line}" at)
  if(at EQUAL -1)
    message(FATAL_ERROR "minimal does not print '${line}' but\n${text}")
  endif()
endforeach()

# Adapters come as sources, and are compiled into the customer's programs.
run(${CMAKE_COMMAND} -G Ninja -S ${SOURCE}/tests/consumer/adapters -B ${BUILD}/consumer/adapters
  -DCMAKE_PREFIX_PATH=${prefix} -DPython3_ROOT_DIR=${PYTHON_ROOT})
run(${CMAKE_COMMAND} --build ${BUILD}/consumer/adapters)
foreach(program with_epoll with_glib with_sdl2)
  if(EXISTS ${BUILD}/consumer/adapters/${program})
    run(${BUILD}/consumer/adapters/${program})
    if(NOT text STREQUAL "slept\n")
      message(FATAL_ERROR "${program} does not print 'slept' but\n${text}")
    endif()
  endif()
endforeach()

# The colony without SDL2 does all but show a window, and says so.
run(${CMAKE_COMMAND} -DCOLONY_WINDOW=OFF ${BUILD}/consumer/build)
run(${CMAKE_COMMAND} --build ${BUILD}/consumer/build --target colony)
set(colony ${BUILD}/consumer/build/colony/colony)
run(${colony} --agents 3 --frames 60 --no-pace --picture ${BUILD}/consumer/colony.png)
execute_process(COMMAND ${colony} --window RESULT_VARIABLE status OUTPUT_VARIABLE text ERROR_VARIABLE text)
if(NOT status EQUAL 1 OR NOT text MATCHES "^colony: --window: the colony was built without SDL2")
  message(FATAL_ERROR "colony --window: ${status}\n${text}")
endif()
