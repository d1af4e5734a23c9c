# find_package(hearth): the target hearth::client.
include(CMakeFindDependencyMacro)
find_dependency(Threads)
find_dependency(absl)
find_dependency(Protobuf)
find_dependency(PkgConfig)
pkg_check_modules(GRPC REQUIRED QUIET IMPORTED_TARGET grpc++ grpc)
include(${CMAKE_CURRENT_LIST_DIR}/hearthTargets.cmake)
