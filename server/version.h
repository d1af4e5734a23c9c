// The version of this build, from CMake's project().
#ifndef HEARTH_SERVER_VERSION_H_
#define HEARTH_SERVER_VERSION_H_

namespace hearth::server {

inline constexpr char kVersion[] = HEARTH_VERSION;

}  // namespace hearth::server

#endif  // HEARTH_SERVER_VERSION_H_
