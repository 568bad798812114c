# Finds what the SDK stands on, and names the Debian package of what is missing.

find_package(Python3 3.11 COMPONENTS Interpreter Development.Embed)
if(NOT Python3_FOUND)
  message(FATAL_ERROR
    "Bine needs CPython 3.11 or newer, to embed: install libpython3-dev and python3, or choose one with "
    "-DPython3_ROOT_DIR=<prefix>.")
endif()
if(NOT Python3_INTERPRETER_ID STREQUAL "Python")
  message(FATAL_ERROR "Bine embeds CPython; ${Python3_EXECUTABLE} is ${Python3_INTERPRETER_ID}.")
endif()
if(Python3_ROOT_DIR)
  # CMake takes this for a hint, and anything else in its stead.
  file(REAL_PATH "${Python3_ROOT_DIR}" wanted)
  cmake_path(IS_PREFIX wanted "${Python3_EXECUTABLE}" NORMALIZE inside)
  if(NOT inside)
    message(FATAL_ERROR
      "-DPython3_ROOT_DIR=${Python3_ROOT_DIR}: there is no CPython 3.11 to 3.15 to embed; found would have been "
      "${Python3_EXECUTABLE} (${Python3_VERSION}).")
  endif()
endif()
# The private fields of each version stand in one file; without it there is no telling.
set(bine_pystate ${PROJECT_SOURCE_DIR}/sdk/core/pystate_${Python3_VERSION_MINOR}.h)
if(NOT Python3_VERSION_MAJOR EQUAL 3 OR NOT EXISTS ${bine_pystate})
  message(FATAL_ERROR
    "Bine does not know CPython ${Python3_VERSION} (${Python3_EXECUTABLE}) yet: it runs on 3.11 to 3.15. "
    "Choose another with -DPython3_ROOT_DIR=<prefix>.")
endif()
message(STATUS "Bine embeds CPython ${Python3_VERSION} (${Python3_EXECUTABLE})")

find_package(PkgConfig)
if(NOT PkgConfig_FOUND)
  message(FATAL_ERROR "Bine needs pkg-config: install pkg-config.")
endif()
pkg_check_modules(libuv IMPORTED_TARGET GLOBAL libuv>=1.44)
if(NOT libuv_FOUND)
  message(FATAL_ERROR "Bine needs libuv 1.44 or newer: install libuv1-dev.")
endif()
pkg_check_modules(sqlite3 IMPORTED_TARGET GLOBAL sqlite3>=3.40)
if(NOT sqlite3_FOUND)
  message(FATAL_ERROR "Bine needs SQLite 3.40 or newer: install libsqlite3-dev.")
endif()

find_package(Threads REQUIRED)
