// SPDX-License-Identifier: MIT
#include <asio/packaged_task.hpp>
#include <asio/post.hpp>
#include <asio/thread_pool.hpp>

int main() {
  asio::thread_pool pool(2);
  auto future = asio::post(pool, std::packaged_task<int()>([] { return 1; }));
  return future.get() - 1;
}
