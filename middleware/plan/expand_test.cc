#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "middleware/plan/plan.h"

namespace zerocloud::plan {
namespace {

class FakeListing : public Listing {
 public:
  std::map<std::string, std::set<std::string>> containers;  // of AUTH_me
  std::set<std::string> forbidden;
  int calls = 0;

  Result<std::vector<std::string>> Containers(const std::string& account, const std::string& prefix,
                                              std::size_t limit) override {
    ++calls;
    if (account != "AUTH_me") return Fail(ErrorCode::kForbidden, "not yours");
    std::vector<std::string> names;
    for (const auto& [name, objects] : containers) {
      if (name.starts_with(prefix)) names.push_back(name);
    }
    if (names.size() > limit) return Fail(ErrorCode::kLimitExceeded, "too many");
    return names;
  }
  Result<std::vector<std::string>> Objects(const std::string&, const std::string& container,
                                           const std::string& prefix, std::size_t limit) override {
    ++calls;
    if (forbidden.contains(container)) return Fail(ErrorCode::kForbidden, "not yours");
    const auto found = containers.find(container);
    if (found == containers.end()) return Fail(ErrorCode::kNotFound, "no such container");
    std::vector<std::string> names;
    for (const std::string& name : found->second) {
      if (name.starts_with(prefix)) names.push_back(name);
    }
    if (names.size() > limit) return Fail(ErrorCode::kLimitExceeded, "too many names");
    return names;
  }
};

// A group in few words: "name", its devices as JSON, and more members.
std::string G(std::string_view name, std::string_view devices = "", std::string_view more = "") {
  return R"({"name": ")" + std::string(name) +
         R"(", "exec": {"path": "swift://~/bin/p"}, "devices": [)" + std::string(devices) + "]" +
         std::string(more) + "}";
}

class ExpandTest : public testing::Test {
 protected:
  ExpandTest() {
    listing.containers["raw"] = {"day-1.csv", "day-2.csv", "day-2.csv.bak", "dir/", "x"};
    listing.containers["eu"] = {"a", "b"};
    listing.containers["us"] = {"a"};
    origin.account = "AUTH_me";
  }

  Result<Plan> Plan_(const std::string& groups) {
    Result<job::JobSpec> spec = job::ParseJob("[" + groups + "]", limits);
    if (!spec) return Fail(spec);
    return Expand(std::move(*spec), origin, limits, listing);
  }
  Plan Good(const std::string& groups) {
    Result<Plan> plan = Plan_(groups);
    if (!plan) {
      ADD_FAILURE() << plan.error().message;
      return {};
    }
    return std::move(*plan);
  }
  Error Bad(const std::string& groups) {
    Result<Plan> plan = Plan_(groups);
    if (plan) {
      ADD_FAILURE() << "accepted " << groups;
      return {};
    }
    return plan.error();
  }
  static std::vector<std::string> Names(const Plan& plan) {
    std::vector<std::string> names;
    names.reserve(plan.sessions.size());
    for (const Session& session : plan.sessions) names.push_back(session.name);
    return names;
  }
  static const Binding& Of(const Session& session, job::DeviceName device) {
    return *std::ranges::find(session.bindings, device, &Binding::device);
  }

  FakeListing listing;
  Origin origin;
  job::JobLimits limits;
};

using Strings = std::vector<std::string>;

TEST_F(ExpandTest, OneSessionPerMatchInListingOrder) {
  const Plan plan = Good(G("m", R"({"name": "stdin", "path": "swift://~/raw/day-*.csv"})"));
  EXPECT_EQ(Names(plan), (Strings{"m-1", "m-2"}));
  EXPECT_EQ(Of(plan.sessions[1], job::DeviceName::kStdin).object,
            (job::ObjectUrl{"AUTH_me", "raw", "day-2.csv"}));
}

TEST_F(ExpandTest, NumbersEvenASingleMatch) {
  const Plan plan = Good(G("m", R"({"name": "input", "path": "swift://./us/*"})"));
  EXPECT_EQ(Names(plan), (Strings{"m-1"}));
}

TEST_F(ExpandTest, SkipsNamesThatEndInASlash) {
  const Plan plan = Good(G("m", R"({"name": "stdin", "path": "swift://~/raw/d*"})"));
  EXPECT_EQ(plan.sessions.size(), 3U);
}

TEST_F(ExpandTest, ContainerWildcardsGoBeforeObjectWildcards) {
  const Plan plan = Good(G("m", R"({"name": "stdin", "path": "swift://~/*u*/*"},
                     {"name": "stdout", "path": "swift://~/out/*-*-*"})"));
  EXPECT_EQ(Names(plan), (Strings{"m-1", "m-2", "m-3"}));
  EXPECT_EQ(Of(plan.sessions[0], job::DeviceName::kStdout).object.object, "e--a");
  EXPECT_EQ(Of(plan.sessions[2], job::DeviceName::kStdout).object.object, "-s-a");
}

TEST_F(ExpandTest, OtherInputsAreCopiedWhereverTheyAreDeclared) {
  for (
      const char* devices :
      {R"({"name": "stdin", "path": "swift://~/eu/*"}, {"name": "input", "path": "swift://~/raw/x"})",
       R"({"name": "input", "path": "swift://~/raw/x"}, {"name": "stdin", "path": "swift://~/eu/*"})"}) {
    const Plan plan = Good(G("m", devices));
    ASSERT_EQ(plan.sessions.size(), 2U);
    for (const Session& session : plan.sessions) {
      EXPECT_EQ(Of(session, job::DeviceName::kInput).object.object, "x");
    }
  }
}

TEST_F(ExpandTest, OneMatchMayHaveAStarlessOutput) {
  const Plan plan = Good(G("m", R"({"name": "stdin", "path": "swift://~/us/*"},
                                   {"name": "stdout", "path": "swift://~/out/o"})"));
  EXPECT_EQ(Of(plan.sessions[0], job::DeviceName::kStdout).object.object, "o");
}

TEST_F(ExpandTest, WithoutInputWildcardAStarIsTheSessionsName) {
  const Plan plan =
      Good(G("g", R"({"name": "stdout", "path": "swift://~/out/*/*"})", R"(, "count": 2)") + "," +
           G("h", R"({"name": "stdout", "path": "swift://~/out/*"})"));
  EXPECT_EQ(Of(plan.sessions[0], job::DeviceName::kStdout).object.object, "g-1/g-1");
  EXPECT_EQ(Of(plan.sessions[2], job::DeviceName::kStdout).object.object, "h");
}

TEST_F(ExpandTest, UndeclaredStandardDevicesAreNull) {
  const Plan plan = Good(G("g"));
  ASSERT_EQ(plan.sessions[0].bindings.size(), 3U);
  for (const Binding& binding : plan.sessions[0].bindings) {
    EXPECT_EQ(binding.kind, BindingKind::kNull);
  }
}

TEST_F(ExpandTest, PathlessInputIsTheObjectOfTheRequest) {
  EXPECT_EQ(Of(Good(G("g", R"({"name": "stdin"})")).sessions[0], job::DeviceName::kStdin).kind,
            BindingKind::kNull);
  EXPECT_TRUE(
      Bad(G("g", R"({"name": "input"})")).message.starts_with("/0/devices/0: input has no"));
  origin.object = job::ObjectUrl{"", "raw", "with*star"};
  const Plan plan = Good(G("g", R"({"name": "input"}, {"name": "stdin"})"));
  EXPECT_EQ(Names(plan), (Strings{"g"}));
  EXPECT_EQ(Of(plan.sessions[0], job::DeviceName::kInput).object,
            (job::ObjectUrl{"AUTH_me", "raw", "with*star"}));
}

TEST_F(ExpandTest, ConnectsAllToAll) {
  const Plan plan =
      Good(G("m", "", R"(, "count": 3, "connect": ["r"])") + "," + G("r", "", R"(, "count": 2)"));
  EXPECT_EQ(plan.edges.size(), 6U);
  EXPECT_EQ(plan.sessions[0].out.size(), 2U);
  EXPECT_EQ(plan.sessions[4].in.size(), 3U);
  for (const Edge& edge : plan.edges) EXPECT_FALSE(edge.is_stream);
  ASSERT_EQ(plan.components.size(), 2U);
  EXPECT_EQ(plan.components[1].after, (std::vector<std::size_t>{0}));
  EXPECT_FALSE(plan.components[0].is_gang);
}

TEST_F(ExpandTest, SelfConnectionIsAMeshWithoutLoops) {
  const Plan plan = Good(G("m", "", R"(, "count": 3, "connect": ["m"])"));
  EXPECT_EQ(plan.edges.size(), 6U);
  for (const Edge& edge : plan.edges) {
    EXPECT_NE(edge.from, edge.to);
    EXPECT_TRUE(edge.is_stream);
  }
  ASSERT_EQ(plan.components.size(), 1U);
  EXPECT_TRUE(plan.components[0].is_gang);
}

TEST_F(ExpandTest, OnlyTheCycleIsAGang) {
  // src -> man <-> dst, man -> end
  const Plan plan = Good(G("src", "", R"(, "count": 2, "connect": ["man"])") + "," +
                         G("man", "", R"(, "connect": ["dst", "end"])") + "," +
                         G("dst", "", R"(, "count": 2, "connect": ["man"])") + "," + G("end"));
  ASSERT_EQ(plan.components.size(), 3U);
  EXPECT_FALSE(plan.components[0].is_gang);
  EXPECT_TRUE(plan.components[1].is_gang);
  EXPECT_EQ(plan.components[1].sessions, (std::vector<std::size_t>{2, 3, 4}));
  EXPECT_EQ(plan.components[2].after, (std::vector<std::size_t>{1}));
}

// Where a session should run, and what it is about, as devices' names.
std::pair<std::string, std::string> Places(const Session& session) {
  const auto name = [&](const std::optional<std::size_t>& binding) {
    return binding ? std::string(ToString(session.bindings[*binding].device)) : "";
  };
  return {name(session.near), name(session.about)};
}

TEST_F(ExpandTest, SessionsAreNearWhatTheyAreAboutOrWhatTheyAreAttachedTo) {
  using Pair = std::pair<std::string, std::string>;
  const auto place = [&](const std::string& devices, const std::string& more = "") {
    return Places(Good(G("g", devices, more)).sessions[0]);
  };
  const std::string in = R"({"name": "stdin", "path": "swift://~/raw/x"})";
  const std::string wild = R"({"name": "input", "path": "swift://~/eu/*"})";
  const std::string out = R"({"name": "output", "path": "swift://~/out/*"}, {"name": "stdout"})";
  EXPECT_EQ(place(""), Pair("", ""));
  EXPECT_EQ(place(out), Pair("", ""));
  EXPECT_EQ(place(in), Pair("stdin", "stdin"));
  EXPECT_EQ(place(in + "," + wild), Pair("input", "input"));
  EXPECT_EQ(place(in + "," + wild, R"(, "attach": "default")"), Pair("input", "input"));
  EXPECT_EQ(place(in + "," + wild, R"(, "attach": "stdin")"), Pair("stdin", "stdin"));
  EXPECT_EQ(place(in + "," + out, R"(, "attach": "output")"), Pair("output", "stdin"));
  EXPECT_EQ(place(out, R"(, "attach": "output")"), Pair("output", ""));
  // Without an object there is nothing to be near to.
  EXPECT_EQ(place(in + "," + out, R"(, "attach": "stdout")"), Pair("", "stdin"));
  EXPECT_EQ(place(R"({"name": "stdin"},)" + wild, R"(, "attach": "stdin")"), Pair("", "input"));
}

TEST_F(ExpandTest, SessionsOfEqualNumberAndLocationKeepCompany) {
  const std::string tag = R"(, "location": "rack")";
  const Plan plan = Good(G("a", "", tag + R"(, "count": 3)") + "," + G("b") + "," +
                         G("c", R"({"name": "stdin", "path": "swift://~/eu/*"})", tag) + "," +
                         G("d", "", R"(, "location": "other")"));
  const auto company = [&](std::size_t session) { return plan.sessions[session].company; };
  EXPECT_EQ(plan.companies, 4U);
  EXPECT_EQ(company(3), std::nullopt);  // b
  EXPECT_EQ(company(4), company(0));    // c-1 and a-1
  EXPECT_EQ(company(5), company(1));
  std::set<std::size_t> all;
  for (const std::size_t session : {0U, 1U, 2U, 6U}) all.insert(company(session).value_or(99));
  EXPECT_EQ(all, (std::set<std::size_t>{0, 1, 2, 3}));
}

TEST_F(ExpandTest, RefusesWithPointerAndSentence) {
  struct Case {
    std::string groups;
    std::string message_start;
  };
  const std::vector<Case> cases = {
      {G("m", R"({"name": "stdin", "path": "swift://~/raw/none*"})"),
       "/0/devices/0/path: no object matches swift://AUTH_me/raw/none*"},
      {G("m", R"({"name": "stdin", "path": "swift://~/none*/x"})"),
       "/0/devices/0/path: no object matches"},
      {G("m",
         R"({"name": "stdin", "path": "swift://~/eu/*"}, {"name": "input", "path": "swift://~/eu/*"})"),
       "/0/devices/1/path: stdin has wildcards already"},
      {G("m", R"({"name": "stdin", "path": "swift://~/eu/*"})", R"(, "count": 2)"),
       "/0/count: the wildcards of /0/devices/0 decide"},
      {G("m",
         R"({"name": "stdin", "path": "swift://~/eu/*"}, {"name": "stdout", "path": "swift://~/o/*-*"})"),
       "/0/devices/1/path: there are more * here than in the input, which has 1"},
      {G("m",
         R"({"name": "stdin", "path": "swift://~/eu/*"}, {"name": "stdout", "path": "swift://~/o/o"})"),
       "/0/devices/1/path: one path for 2 sessions; put a * into it"},
      {G("m", R"({"name": "stdout", "path": "swift://~/o/o"})", R"(, "count": 2)"),
       "/0/devices/0/path: one path for 2 sessions"},
      {G("m",
         R"({"name": "stdout", "path": "swift://~/o/o"}, {"name": "stderr", "path": "swift://~/o/o"})"),
       "/0/devices/1/path: swift://AUTH_me/o/o would be written twice, by the sessions m and m"},
      {G("m", R"({"name": "stdout", "path": "swift://~/o/o"})") + "," +
           G("n", R"({"name": "stdout", "path": "swift://AUTH_me/o/o"})"),
       "/1/devices/0/path: swift://AUTH_me/o/o would be written twice, by the sessions m and n"},
      {G("m", "", R"(, "count": 2)") + "," + G("m-2"),
       "/1/name: its session \"m-2\" would have the name of a session of /0"},
      {G("m", "", R"(, "connect": ["m"])"), "/0/connect/0: \"m\" has one session"},
      {G("m", R"({"name": "stdin", "path": "swift://~/us/*"})", R"(, "connect": ["m"])"),
       "/0/connect/0: \"m\" has one session"},
  };
  for (const Case& each : cases) {
    const Error error = Bad(each.groups);
    EXPECT_EQ(error.code, ErrorCode::kInvalid) << each.groups;
    EXPECT_TRUE(error.message.starts_with(each.message_start))
        << each.groups << "\n  says  " << error.message;
  }
}

TEST_F(ExpandTest, RefusesOutputsThatCollideBecauseStarsAreMissing) {
  listing.containers["lo"] = {"1/a", "2/a"};
  const Error error = Bad(G("m", R"({"name": "stdin", "path": "swift://~/lo/*a*"},
                                    {"name": "stdout", "path": "swift://~/out/all-*"})") +
                          "," + G("n", R"({"name": "stdin", "path": "swift://~/lo/*a*"},
                                    {"name": "stdout", "path": "swift://~/out/all-*"})"));
  EXPECT_TRUE(error.message.starts_with(
      "/1/devices/1/path: swift://AUTH_me/out/all-1/ would be written twice, by the sessions m-1"))
      << error.message;
}

TEST_F(ExpandTest, RefusesOutputNamesThatAreNoObject) {
  listing.containers["lo"] = {"", "a/b"};
  EXPECT_NE(Bad(G("m", R"({"name": "stdin", "path": "swift://~/lo/*"},
                          {"name": "stdout", "path": "swift://~/out/*"})"))
                .message.find("which is no object"),
            std::string::npos);
  listing.containers["lo"] = {"a/b"};
  EXPECT_NE(Bad(G("m", R"({"name": "stdin", "path": "swift://~/lo/*"},
                          {"name": "stdout", "path": "swift://~/x*/o"})"))
                .message.find("which is no object"),
            std::string::npos);
}

TEST_F(ExpandTest, HandsOnWhatTheListingSays) {
  const std::string job = G("m", R"({"name": "stdin", "path": "swift://~/secret/*"})");
  EXPECT_EQ(Bad(job).code, ErrorCode::kNotFound);
  listing.containers["secret"] = {"a"};
  listing.forbidden = {"secret"};
  const Error error = Bad(job);
  EXPECT_EQ(error.code, ErrorCode::kForbidden);
  EXPECT_EQ(error.message, "/0/devices/0/path: cannot list /AUTH_me/secret: not yours");
  EXPECT_EQ(Bad(G("m", R"({"name": "stdin", "path": "swift://other/*/*"})")).code,
            ErrorCode::kForbidden);
}

TEST_F(ExpandTest, NamesEveryLimitItEnforces) {
  const auto expect = [&](const std::string& groups, std::string_view limit) {
    const Error error = Bad(groups);
    EXPECT_EQ(error.code, ErrorCode::kLimitExceeded) << error.message;
    EXPECT_NE(error.message.find(limit), std::string::npos) << error.message;
  };
  limits.sessions = 3;
  expect(G("a", "", R"(, "count": 2)") + "," + G("b", "", R"(, "count": 2)"),
         "the limit sessions is 3");
  limits.sessions = 2;
  expect(G("m", R"({"name": "stdin", "path": "swift://~/raw/*"})"), "the limit sessions is 2");
  limits = {};
  limits.gang_sessions = 2;
  expect(G("a", "", R"(, "count": 3, "connect": ["a"])"), "the limit gang_sessions is 2");
  limits = {};
  limits.connections = 5;
  expect(G("a", "", R"(, "count": 3, "connect": ["b"])") + "," + G("b", "", R"(, "count": 2)"),
         "the limit connections is 5");
  limits = {};
  limits.channels_per_session = 6;
  expect(G("a", "", R"(, "count": 3, "connect": ["b"])") + "," + G("b"),
         "the limit channels_per_session is 6");
  limits = {};
  limits.listed_names = 2;
  expect(G("m", R"({"name": "stdin", "path": "swift://~/raw/*"})"), "the limit listed_names is 2");
}

TEST_F(ExpandTest, BoundsAllListingsOfAJobTogether) {
  const auto reads = [](std::string_view name, std::string_view path) {
    return G(name, R"({"name": "stdin", "path": "swift://~/)" + std::string(path) + R"("})");
  };
  // Three containers and what is in them; then what is listed once more.
  const std::uint64_t all = 3 + 5 + 2 + 1;
  limits.listed_names = all;
  EXPECT_EQ(Good(reads("m", "*/*")).sessions.size(), 7U);
  listing.calls = 0;
  const Error groups = Bad(reads("m", "*/*") + "," + reads("n", "us/*") + "," + reads("o", "us/*"));
  EXPECT_EQ(groups.code, ErrorCode::kLimitExceeded);
  EXPECT_EQ(groups.message,
            "/1/devices/0/path: cannot list /AUTH_me/us: too many names; all listings of a job "
            "together: the limit listed_names is 11");
  EXPECT_EQ(listing.calls, 5);
  limits.listed_names = all - 1;
  const Error containers = Bad(reads("m", "*/*"));
  EXPECT_NE(containers.message.find("/AUTH_me/us: too many names"), std::string::npos)
      << containers.message;
}

TEST_F(ExpandTest, TenThousandMappersAreCheap) {
  for (int i = 0; i < 10'000; ++i) listing.containers["many"].insert(std::to_string(i));
  const Plan plan =
      Good(G("m", R"({"name": "stdin", "path": "swift://~/many/*"})", R"(, "connect": ["r"])") +
           "," + G("r", "", R"(, "count": 4)"));
  EXPECT_EQ(plan.edges.size(), 40'000U);
  EXPECT_EQ(listing.calls, 1);
}

}  // namespace
}  // namespace zerocloud::plan
