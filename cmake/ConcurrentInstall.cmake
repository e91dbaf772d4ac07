# SPDX-License-Identifier: MIT
#
# cmake --install: the headers, the CMake package (find_package(concurrent)) and concurrent.pc. All of
# it is independent of the architecture.
#
# concurrent::thread_pool sits in an export file of its own: the other one names cereal::cereal, and
# whoever wants threads alone need not have cereal.

include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(package_dir "${CMAKE_INSTALL_DATADIR}/cmake/concurrent")

install(TARGETS concurrent_thread_pool EXPORT concurrent_threads FILE_SET HEADERS)
install(EXPORT concurrent_threads NAMESPACE concurrent:: DESTINATION "${package_dir}"
        FILE concurrent-threads-targets.cmake)

set(cereal_targets ${CONCURRENT_TARGETS})
list(REMOVE_ITEM cereal_targets concurrent_thread_pool)
if(cereal_targets)
  install(TARGETS ${cereal_targets} EXPORT concurrent_cereal FILE_SET HEADERS)
  install(EXPORT concurrent_cereal NAMESPACE concurrent:: DESTINATION "${package_dir}"
          FILE concurrent-cereal-targets.cmake)
endif()

configure_package_config_file(
  "${CMAKE_CURRENT_LIST_DIR}/concurrent-config.cmake.in"
  "${PROJECT_BINARY_DIR}/concurrent-config.cmake" INSTALL_DESTINATION "${package_dir}"
  NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(
  "${PROJECT_BINARY_DIR}/concurrent-config-version.cmake" COMPATIBILITY SameMinorVersion
  ARCH_INDEPENDENT)
install(FILES "${PROJECT_BINARY_DIR}/concurrent-config.cmake"
              "${PROJECT_BINARY_DIR}/concurrent-config-version.cmake"
        DESTINATION "${package_dir}")

# pkg-config resolves ${pcfiledir}, so the tree may be moved after it was installed. An absolute
# include directory stays absolute.
if(IS_ABSOLUTE "${CMAKE_INSTALL_INCLUDEDIR}")
  set(pc_includedir "${CMAKE_INSTALL_INCLUDEDIR}")
else()
  set(pc_includedir "\${prefix}/${CMAKE_INSTALL_INCLUDEDIR}")
endif()
configure_file("${CMAKE_CURRENT_LIST_DIR}/concurrent.pc.in" "${PROJECT_BINARY_DIR}/concurrent.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/concurrent.pc" DESTINATION "${CMAKE_INSTALL_DATADIR}/pkgconfig")
