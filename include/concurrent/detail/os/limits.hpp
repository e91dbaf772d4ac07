// SPDX-License-Identifier: MIT
#pragma once

// What a process forbids itself: more than some memory, time and files, and then any new way to the
// world outside.

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <concurrent/detail/os/descriptor.hpp>
#include <cstddef>
#include <cstdint>

namespace concurrent::detail::os {

/// Sets a limit, soft and hard. @throws std::system_error that says `what` cannot be limited
inline void limit(decltype(RLIMIT_AS) resource, std::uint64_t most, const char* what) {
  const rlimit wanted{static_cast<rlim_t>(most), static_cast<rlim_t>(most)};
  if (::setrlimit(resource, &wanted) != 0) throw_errno(errno, what);
}

/// @throws std::system_error
inline void add_niceness(int nice) {
  errno = 0;
  if (nice != 0 && ::nice(nice) == -1 && errno != 0) throw_errno(errno, "cannot set the niceness");
}

namespace sandbox {

// What opens a file or changes the file system, makes a socket, starts a program, or reaches other
// processes. Numbers that an architecture does not have are not in its list.
inline constexpr unsigned forbidden[] = {
    SYS_openat, SYS_name_to_handle_at, SYS_open_by_handle_at, SYS_memfd_create, SYS_mkdirat,
    SYS_mknodat, SYS_unlinkat, SYS_symlinkat, SYS_linkat, SYS_truncate, SYS_fchmodat, SYS_fchownat,
    SYS_utimensat, SYS_setxattr, SYS_lsetxattr, SYS_removexattr, SYS_lremovexattr, SYS_mount,
    SYS_umount2, SYS_pivot_root, SYS_chroot, SYS_swapon, SYS_swapoff, SYS_acct, SYS_quotactl,
    SYS_inotify_init1, SYS_fanotify_init, SYS_mq_open, SYS_mq_unlink,
    // sockets
    SYS_socket, SYS_socketpair, SYS_connect, SYS_bind, SYS_listen, SYS_accept, SYS_accept4,
    // programs
    SYS_execve, SYS_execveat,
    // other processes
    SYS_kill, SYS_tkill, SYS_rt_sigqueueinfo, SYS_rt_tgsigqueueinfo, SYS_ptrace,
    SYS_process_vm_readv, SYS_process_vm_writev, SYS_setns, SYS_unshare, SYS_shmget, SYS_shmat,
    SYS_semget, SYS_msgget,
    // the kernel
    SYS_bpf, SYS_perf_event_open, SYS_init_module, SYS_finit_module, SYS_delete_module,
    SYS_kexec_load, SYS_reboot, SYS_keyctl, SYS_add_key, SYS_request_key, SYS_personality,
#if defined(SYS_open)
    SYS_open, SYS_creat, SYS_mkdir, SYS_rmdir, SYS_mknod, SYS_unlink, SYS_symlink, SYS_link,
    SYS_rename, SYS_chmod, SYS_chown, SYS_lchown, SYS_utime, SYS_utimes, SYS_futimesat,
    SYS_inotify_init,
#endif
#if defined(SYS_renameat)
    SYS_renameat,
#endif
    SYS_renameat2,
    // These came later than some kernels and headers; the numbers are the same everywhere.
    424,  // pidfd_send_signal
    425,  // io_uring_setup
    434,  // pidfd_open
    437,  // openat2
    438,  // pidfd_getfd
};
inline constexpr std::size_t forbidden_count = sizeof forbidden / sizeof forbidden[0];

#if defined(__x86_64__)
inline constexpr std::uint32_t architecture = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
inline constexpr std::uint32_t architecture = AUDIT_ARCH_AARCH64;
#else
inline constexpr std::uint32_t architecture = 0;  // not known here: no sandbox
#endif

}  // namespace sandbox

/// From now on this process, and all that it forks, can open no file, change no file system, make
/// no socket, start no program and signal no other process; the calls fail with EPERM. What is open
/// stays usable. There is no way back. @throws std::system_error where the system cannot do it
inline void enter_sandbox() {
  using sandbox::forbidden_count;
  if (sandbox::architecture == 0) throw_errno(ENOTSUP, "no sandbox on this architecture");
  constexpr auto load = [](std::size_t offset) {
    return sock_filter{BPF_LD | BPF_W | BPF_ABS, 0, 0, static_cast<std::uint32_t>(offset)};
  };
  constexpr auto answer = [](std::uint32_t what) {
    return sock_filter{BPF_RET | BPF_K, 0, 0, what};
  };
  constexpr std::uint32_t refuse = SECCOMP_RET_ERRNO | EPERM;
  std::array<sock_filter, 2 * forbidden_count + 17> program{};
  std::size_t size = 0;
  program[size++] = load(offsetof(seccomp_data, arch));
  program[size++] = {BPF_JMP | BPF_JEQ | BPF_K, 1, 0, sandbox::architecture};
  program[size++] = answer(SECCOMP_RET_KILL_PROCESS);  // another way to count the calls
  program[size++] = load(offsetof(seccomp_data, nr));
#if defined(__x86_64__)
  program[size++] = {BPF_JMP | BPF_JGE | BPF_K, 0, 1, 0x40000000U};  // x32
  program[size++] = answer(refuse);
#endif
  for (const unsigned call : sandbox::forbidden) {
    program[size++] = {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, call};
    program[size++] = answer(refuse);
  }
  const auto only_with = [&](std::uint32_t call, std::uint32_t first_argument) {
    program[size++] = {BPF_JMP | BPF_JEQ | BPF_K, 0, 4, call};
    program[size++] = load(offsetof(seccomp_data, args));  // the lower half: little endian
    program[size++] = {BPF_JMP | BPF_JEQ | BPF_K, 1, 0, first_argument};
    program[size++] = answer(refuse);
    program[size++] = answer(SECCOMP_RET_ALLOW);
  };
  only_with(SYS_tgkill, static_cast<std::uint32_t>(::getpid()));  // abort() signals itself
  only_with(SYS_prlimit64, 0);                                    // its own limits
  program[size++] = answer(SECCOMP_RET_ALLOW);
  const sock_fprog filter{static_cast<unsigned short>(size), program.data()};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0) {
    throw_errno(errno, "cannot enter the sandbox");
  }
}

}  // namespace concurrent::detail::os
