// SPDX-License-Identifier: MIT
#pragma once

// All of concurrent::multiprocessing. Counterpart: the module multiprocessing.

#include <concurrent/multiprocessing/exceptions.hpp>
#include <concurrent/multiprocessing/freeze_support.hpp>
#include <concurrent/multiprocessing/remote_error.hpp>
#include <concurrent/multiprocessing/serialization.hpp>
#include <concurrent/multiprocessing/shared_array.hpp>
#include <concurrent/multiprocessing/start_method.hpp>
