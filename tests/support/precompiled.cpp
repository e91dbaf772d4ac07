// SPDX-License-Identifier: MIT

// Exists so that the precompiled header of the tests, support/catch.hpp, has a target to belong to.
