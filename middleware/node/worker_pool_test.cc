#include "middleware/node/worker_pool.h"

#include <gtest/gtest.h>

#include <future>
#include <memory>

namespace zerocloud::node {
namespace {

TEST(WorkerPool, RemovesATaskThatHasNotBegunWithAllItHolds) {
  std::promise<void> may_end;
  WorkerPool pool(1);
  std::promise<void> begun;
  const WorkerPool::Ticket first = pool.Run([&] {
    begun.set_value();
    may_end.get_future().wait();
  });
  begun.get_future().wait();
  auto document = std::make_shared<int>(0);
  const std::weak_ptr<int> seen = document;
  const WorkerPool::Ticket second =
      pool.Run([document = std::move(document)] { ADD_FAILURE() << "it was removed"; });
  std::promise<void> last;
  pool.Run([&last] { last.set_value(); });
  EXPECT_EQ(pool.queued(), 2U);
  pool.Remove(second);
  EXPECT_TRUE(seen.expired());
  EXPECT_EQ(pool.queued(), 1U);
  pool.Remove(second);
  pool.Remove(first);  // it runs: nothing is changed
  may_end.set_value();
  last.get_future().wait();
  EXPECT_EQ(pool.queued(), 0U);
}

}  // namespace
}  // namespace zerocloud::node
