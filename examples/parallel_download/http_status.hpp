// SPDX-License-Identifier: MIT
#pragma once

// What HTTP status codes mean to a download program; http.HTTPStatus in Python.

#include <string>

namespace parallel_download {

/// "HTTP 404 Not Found", or without the words for a code that is rarely seen.
std::string describe_status(long status);

/// Whether the same request may well succeed a little later.
bool is_transient_status(long status);

}  // namespace parallel_download
