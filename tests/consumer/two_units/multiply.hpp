// SPDX-License-Identifier: MIT
#pragma once

// A task that one translation unit submits and the other waits for.
#include <concurrent/futures.hpp>

concurrent::futures::Future<int> multiply(concurrent::futures::ThreadPoolExecutor& executor, int a,
                                          int b);
