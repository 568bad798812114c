/* Several deferreds as one: all, any, settle. */
#include "counted.h"
#include "fixture.h"

enum { MEMBERS = 4 };

static bine_deferred *members[MEMBERS];
static bine_resolver *resolvers[MEMBERS];
static int cancels;

typedef int (*maker)(bine *, bine_deferred *const *, size_t, bine_deferred **);

static const maker makers[] = {bine_all, bine_any, bine_settle};

static void end_as_cancelled(bine_resolver *r, void *user)
{
    bine_resolver **mine = user;

    CHECK(r == *mine);
    *mine = NULL;
    cancels++;
    CHECK_OK(bine_reject(r, BINE_ECANCELED, NULL));
}

static bine *open_members(void)
{
    bine *rt = open_runtime();

    for (size_t i = 0; i < MEMBERS; i++)
        CHECK_OK(bine_deferred_new(rt, end_as_cancelled, &resolvers[i], &members[i], &resolvers[i]));
    return rt;
}

static void bring(size_t index, int64_t number)
{
    CHECK_OK(bine_resolve(resolvers[index], bine_value_i64(number)));
    resolvers[index] = NULL;
}

static void fail(size_t index, int code, const char *message)
{
    CHECK_OK(bine_reject(resolvers[index], code, message));
    resolvers[index] = NULL;
}

/* Those that were not settled are, and nothing of it is reported. */
static void close_members(bine *rt)
{
    for (size_t i = 0; i < MEMBERS; i++) {
        if (resolvers[i] != NULL)
            bring(i, 0);
        bine_deferred_release(members[i]);
    }
    close_runtime(rt);
}

static bine_deferred *group_of(bine *rt, maker make, size_t count)
{
    bine_deferred *group;

    CHECK_OK(make(rt, members, count, &group));
    CHECK_EQ(bine_deferred_state(group), 0);
    return group;
}

static const bine_value *value_of(bine_deferred *d)
{
    const bine_value *value;

    CHECK_EQ(bine_deferred_peek(d, &value, NULL), 1);
    return value;
}

static const char *message_of(bine_deferred *d)
{
    const char *message;

    CHECK(bine_deferred_peek(d, NULL, &message) < 0);
    return message;
}

static void drop(bine_deferred *d)
{
    bine_deferred_error(d);
    bine_deferred_release(d);
}

/* ---- all ---- */

TEST(all_lists_the_values_in_the_order_given)
{
    bine *rt = open_members();
    bine_deferred *group = group_of(rt, bine_all, MEMBERS);

    bring(2, 2);
    bring(0, 0);
    settle(rt);
    CHECK_EQ(bine_deferred_state(group), 0);
    bring(3, 3);
    bring(1, 1);
    CHECK_EQ(bine_deferred_state(group), 0); /* settling only enqueues */
    settle(rt);
    CHECK_EQ(bine_value_count(value_of(group)), MEMBERS);
    for (size_t i = 0; i < MEMBERS; i++)
        CHECK_EQ(bine_value_as_i64(bine_value_at(value_of(group), i)), i);
    bine_deferred_release(group);
    close_members(rt);
}

TEST(all_is_rejected_as_soon_as_one_is_and_leaves_the_rest_alone)
{
    bine *rt = open_members();
    bine_deferred *group = group_of(rt, bine_all, MEMBERS);

    bring(0, 0);
    fail(2, -1500, "the third");
    fail(3, -1501, "the fourth");
    settle(rt);
    CHECK_EQ(bine_deferred_state(group), -1500);
    CHECK_STR(message_of(group), "the third");
    CHECK_EQ(cancels, 0);
    CHECK_EQ(bine_deferred_state(members[1]), 0);
    CHECK(bine_deferred_handled(members[2]));
    CHECK(bine_deferred_handled(members[3]));
    CHECK(!bine_deferred_handled(group));
    drop(group);
    close_members(rt);
}

TEST(a_rejection_that_comes_after_the_group_is_decided_is_nobodys_loss)
{
    bine *rt = open_members();
    bine_deferred *all = group_of(rt, bine_all, 2);
    bine_deferred *any;

    CHECK_OK(bine_any(rt, members + 2, 2, &any));
    fail(0, -1500, "first");
    bring(2, 1);
    settle(rt);
    fail(1, -1501, "late");
    fail(3, -1501, "late");
    drop(all);
    bine_deferred_release(any);
    close_members(rt); /* fails when one is reported */
}

/* ---- any ---- */

TEST(any_takes_the_first_value)
{
    bine *rt = open_members();
    bine_deferred *group = group_of(rt, bine_any, MEMBERS);

    fail(0, -1500, "no");
    settle(rt);
    CHECK_EQ(bine_deferred_state(group), 0);
    bring(3, 33);
    bring(1, 11);
    settle(rt);
    CHECK_EQ(bine_value_as_i64(value_of(group)), 33);
    CHECK_EQ(cancels, 0);
    bine_deferred_release(group);
    close_members(rt);
}

TEST(any_is_rejected_when_all_are_with_the_first_rejection)
{
    bine *rt = open_members();
    bine_deferred *group = group_of(rt, bine_any, MEMBERS);

    fail(2, -1502, "the first to fail");
    fail(0, -1500, "x");
    fail(3, -1503, "x");
    settle(rt);
    CHECK_EQ(bine_deferred_state(group), 0);
    fail(1, -1501, "x");
    settle(rt);
    CHECK_EQ(bine_deferred_state(group), -1502);
    CHECK_STR(message_of(group), "the first to fail");
    drop(group);
    close_members(rt);
}

/* ---- settle ---- */

TEST(settle_tells_how_each_ended)
{
    bine *rt = open_members();
    bine_deferred *group = group_of(rt, bine_settle, 3);
    const bine_value *list;

    fail(1, -1501, "no");
    bring(2, 22);
    fail(0, BINE_EIO, NULL);
    settle(rt);
    list = value_of(group);
    CHECK_EQ(bine_value_count(list), 3);
    CHECK_EQ(bine_value_as_i64(bine_value_get(bine_value_at(list, 0), "code")), BINE_EIO);
    CHECK_STR(bine_value_as_str(bine_value_get(bine_value_at(list, 0), "message"), NULL), "");
    CHECK_EQ(bine_value_as_i64(bine_value_get(bine_value_at(list, 1), "code")), -1501);
    CHECK_STR(bine_value_as_str(bine_value_get(bine_value_at(list, 1), "message"), NULL), "no");
    CHECK(bine_value_get(bine_value_at(list, 1), "value") == NULL);
    CHECK_EQ(bine_value_as_i64(bine_value_get(bine_value_at(list, 2), "value")), 22);
    CHECK(bine_value_get(bine_value_at(list, 2), "code") == NULL);
    bine_deferred_release(group);
    close_members(rt);
}

TEST(settle_is_not_rejected_when_a_member_is_cancelled)
{
    bine *rt = open_members();
    bine_deferred *group = group_of(rt, bine_settle, 1);

    CHECK_OK(bine_deferred_cancel(members[0]));
    settle(rt);
    CHECK_EQ(bine_value_as_i64(bine_value_get(bine_value_at(value_of(group), 0), "code")), BINE_ECANCELED);
    bine_deferred_release(group);
    close_members(rt);
}

/* ---- what is given ---- */

TEST(of_none_all_and_settle_have_an_empty_list_and_any_is_refused)
{
    bine *rt = open_members();
    bine_deferred *group;

    CHECK_OK(bine_all(rt, NULL, 0, &group));
    settle(rt);
    CHECK_EQ(bine_value_kind(value_of(group)), BINE_LIST);
    CHECK_EQ(bine_value_count(value_of(group)), 0);
    bine_deferred_release(group);
    CHECK_OK(bine_settle(rt, members, 0, &group));
    settle(rt);
    CHECK_EQ(bine_value_count(value_of(group)), 0);
    bine_deferred_release(group);
    CHECK_STATUS(bine_any(rt, members, 0, &group), BINE_EINVAL);
    CHECK(group == NULL);
    close_members(rt);
}

TEST(members_settled_before_are_taken_as_they_are)
{
    bine *rt = open_members();
    bine_deferred *groups[3];

    bring(0, 5);
    bring(1, 6);
    for (size_t i = 0; i < 3; i++)
        groups[i] = group_of(rt, makers[i], 2);
    settle(rt);
    CHECK_EQ(bine_value_as_i64(bine_value_at(value_of(groups[0]), 1)), 6);
    CHECK_EQ(bine_value_as_i64(value_of(groups[1])), 5);
    CHECK_EQ(bine_value_as_i64(bine_value_get(bine_value_at(value_of(groups[2]), 0), "value")), 5);
    for (size_t i = 0; i < 3; i++)
        bine_deferred_release(groups[i]);
    close_members(rt);
}

TEST(rejections_from_before_count_as_taken_by_the_group)
{
    bine *rt = open_members();
    bine_deferred *group;

    fail(0, -1500, "early");
    CHECK(!bine_deferred_handled(members[0]));
    group = group_of(rt, bine_settle, 2);
    CHECK(bine_deferred_handled(members[0]));
    bring(1, 1);
    settle(rt);
    CHECK_EQ(bine_value_count(value_of(group)), 2);
    bine_deferred_release(group);
    close_members(rt);
}

TEST(one_may_be_a_member_twice)
{
    bine *rt = open_members();
    bine_deferred *same[] = {members[0], members[1], members[0], members[0]};
    bine_deferred *groups[3];

    for (size_t i = 0; i < 3; i++)
        CHECK_OK(makers[i](rt, same, 4, &groups[i]));
    bring(0, 5);
    bring(1, 6);
    settle(rt);
    for (size_t i = 0; i < 4; i++)
        CHECK_EQ(bine_value_as_i64(bine_value_at(value_of(groups[0]), i)), i == 1 ? 6 : 5);
    CHECK_EQ(bine_value_as_i64(value_of(groups[1])), 5);
    CHECK_EQ(bine_value_count(value_of(groups[2])), 4);
    for (size_t i = 0; i < 3; i++)
        bine_deferred_release(groups[i]);
    close_members(rt);
}

TEST(the_group_holds_its_members_and_the_values_are_freed_once)
{
    bine *rt = open_runtime();
    bine_deferred *group;

    CHECK_OK(bine_deferred_new(rt, NULL, NULL, &members[0], &resolvers[0]));
    CHECK_OK(bine_deferred_new(rt, NULL, NULL, &members[1], &resolvers[1]));
    group = group_of(rt, bine_all, 2);
    bine_deferred_release(members[0]);
    bine_deferred_release(members[1]);
    CHECK_OK(bine_resolve(resolvers[1], counted()));
    CHECK_OK(bine_resolve(resolvers[0], counted()));
    settle(rt);
    CHECK_EQ(bine_value_count(value_of(group)), 2);
    CHECK_EQ(counted_destroyed(), 0);
    bine_deferred_release(group);
    CHECK_EQ(counted_destroyed(), 2);
    close_runtime(rt);
}

static void make_elsewhere(void *user)
{
    bine_deferred *group = members[0];

    CHECK_STATUS(bine_all(user, members, 1, &group), BINE_ETHREAD);
    CHECK(group == NULL);
}

TEST(bad_arguments_are_refused)
{
    bine *rt = open_members();

    for (size_t i = 0; i < 3; i++) {
        bine_deferred *holed[] = {members[0], NULL};
        bine_deferred *group = members[0];

        CHECK_STATUS(makers[i](rt, holed, 2, &group), BINE_EINVAL);
        CHECK(group == NULL);
        CHECK_HAS(bine_message(), "1 of 2");
        CHECK_STATUS(makers[i](rt, NULL, 1, &group), BINE_EINVAL);
        CHECK_STATUS(makers[i](NULL, members, 1, &group), BINE_EINVAL);
        CHECK_STATUS(makers[i](rt, members, 1, NULL), BINE_EINVAL);
    }
    in_thread(make_elsewhere, rt);
    close_members(rt);
}

/* ---- cancelling ---- */

TEST(cancelling_all_cancels_those_that_are_pending)
{
    bine *rt = open_members();
    bine_deferred *group = group_of(rt, bine_all, MEMBERS);

    bring(1, 1);
    settle(rt);
    CHECK_OK(bine_deferred_cancel(group));
    settle(rt);
    CHECK_EQ(cancels, 3);
    CHECK_EQ(bine_deferred_state(group), BINE_ECANCELED);
    bine_deferred_release(group);
    close_members(rt);
}

TEST(cancelling_any_cancels_those_that_are_pending)
{
    bine *rt = open_members();
    bine_deferred *group = group_of(rt, bine_any, MEMBERS);

    CHECK_OK(bine_deferred_cancel(group));
    settle(rt);
    CHECK_EQ(cancels, 4);
    CHECK_EQ(bine_deferred_state(group), BINE_ECANCELED);
    bine_deferred_release(group);
    close_members(rt);
}

TEST(cancelling_a_settle_group_lists_the_cancelled)
{
    bine *rt = open_members();
    bine_deferred *group = group_of(rt, bine_settle, MEMBERS);

    bring(0, 7);
    CHECK_OK(bine_deferred_cancel(group));
    settle(rt);
    CHECK_EQ(cancels, 3);
    CHECK_EQ(bine_value_as_i64(bine_value_get(bine_value_at(value_of(group), 0), "value")), 7);
    for (size_t i = 1; i < MEMBERS; i++)
        CHECK_EQ(bine_value_as_i64(bine_value_get(bine_value_at(value_of(group), i), "code")),
                 BINE_ECANCELED);
    bine_deferred_release(group);
    close_members(rt);
}

TEST(members_that_others_wait_for_are_left_alone_by_a_cancel)
{
    bine *rt = open_members();
    bine_deferred *one = group_of(rt, bine_all, 2);
    bine_deferred *other;

    CHECK_OK(bine_all(rt, members + 1, 2, &other));
    CHECK_OK(bine_deferred_cancel(one));
    settle(rt);
    CHECK_EQ(cancels, 1); /* of members[0] alone */
    CHECK_EQ(bine_deferred_state(one), BINE_ECANCELED);
    CHECK_EQ(bine_deferred_state(members[1]), 0);
    bring(1, 1);
    bring(2, 2);
    settle(rt);
    CHECK_EQ(bine_value_count(value_of(other)), 2);
    bine_deferred_release(one);
    bine_deferred_release(other);
    close_members(rt);
}

TEST(a_group_all_of_whose_members_are_shared_is_just_rejected)
{
    bine *rt = open_members();

    for (size_t i = 0; i < 3; i++) {
        bine_deferred *one = group_of(rt, makers[i], MEMBERS);
        bine_deferred *other = group_of(rt, bine_settle, MEMBERS);

        CHECK_OK(bine_deferred_cancel(one));
        settle(rt);
        CHECK_EQ(cancels, 0);
        CHECK_EQ(bine_deferred_state(one), BINE_ECANCELED);
        CHECK_EQ(bine_deferred_state(other), 0);
        bine_deferred_release(one);
        bine_deferred_release(other);
    }
    close_members(rt);
}

TEST(a_member_given_twice_is_shared_with_nobody)
{
    bine *rt = open_members();
    bine_deferred *same[] = {members[0], members[0]};
    bine_deferred *group;

    CHECK_OK(bine_all(rt, same, 2, &group));
    CHECK_OK(bine_deferred_cancel(group));
    settle(rt);
    CHECK_EQ(cancels, 1);
    CHECK_EQ(bine_deferred_state(group), BINE_ECANCELED);
    bine_deferred_release(group);
    close_members(rt);
}

TEST(two_ways_to_the_same_work_cancel_it)
{
    bine *rt = open_members();
    bine_deferred *ways[2];
    bine_deferred *group;

    CHECK_OK(bine_then(members[0], NULL, NULL, NULL, NULL, &ways[0]));
    CHECK_OK(bine_then(members[0], NULL, NULL, NULL, NULL, &ways[1]));
    CHECK_OK(bine_all(rt, ways, 2, &group));
    CHECK_OK(bine_deferred_cancel(group));
    settle(rt);
    CHECK_EQ(cancels, 1);
    CHECK_EQ(bine_deferred_state(group), BINE_ECANCELED);
    bine_deferred_release(ways[0]);
    bine_deferred_release(ways[1]);
    bine_deferred_release(group);
    close_members(rt);
}

TEST(a_cancel_whose_members_have_their_results_already_is_refused_or_too_late)
{
    bine *rt = open_members();
    bine_deferred *group = group_of(rt, bine_all, 1);

    bring(0, 1);
    settle(rt);
    CHECK_STATUS(bine_deferred_cancel(group), BINE_ESETTLED);
    CHECK_EQ(bine_value_count(value_of(group)), 1);
    bine_deferred_release(group);
    close_members(rt);
}

TEST(results_that_come_before_the_turn_of_a_cancel_decide)
{
    bine *rt = open_members();
    bine_deferred *group = group_of(rt, bine_all, 2);

    CHECK_OK(bine_deferred_cancel(group));
    bring(0, 1);
    bring(1, 2);
    settle(rt);
    CHECK_EQ(bine_value_count(value_of(group)), 2);
    CHECK_EQ(cancels, 0);
    bine_deferred_release(group);
    close_members(rt);
}

/* ---- time limits ---- */

TEST(a_time_limit_on_a_group_ends_all_that_are_pending)
{
    bine *rt = open_members();
    bine_deferred *group = group_of(rt, bine_all, MEMBERS);

    CHECK_OK(bine_deferred_timeout(group, SECOND));
    bring(0, 1);
    crank(SECOND);
    settle(rt);
    CHECK_EQ(cancels, 3);
    CHECK_EQ(bine_deferred_state(group), BINE_ETIMEDOUT);
    CHECK_EQ(bine_deferred_state(members[1]), BINE_ECANCELED);
    drop(group);
    close_members(rt);
}

TEST(a_time_limit_on_a_group_of_shared_members_ends_the_group_alone)
{
    bine *rt = open_members();
    bine_deferred *group = group_of(rt, bine_settle, MEMBERS);
    bine_deferred *other = group_of(rt, bine_all, MEMBERS);

    CHECK_OK(bine_deferred_timeout(group, SECOND));
    crank(SECOND);
    settle(rt);
    CHECK_EQ(cancels, 0);
    CHECK_EQ(bine_deferred_state(group), BINE_ETIMEDOUT);
    CHECK_EQ(bine_deferred_state(other), 0);
    drop(group);
    bine_deferred_release(other);
    close_members(rt);
}

TEST(a_time_limit_on_a_member_ends_that_member)
{
    bine *rt = open_members();
    bine_deferred *group = group_of(rt, bine_any, 2);

    CHECK_OK(bine_deferred_timeout(members[0], SECOND));
    crank(SECOND);
    settle(rt);
    CHECK_EQ(bine_deferred_state(members[0]), BINE_ETIMEDOUT);
    CHECK_EQ(bine_deferred_state(group), 0);
    bring(1, 4);
    settle(rt);
    CHECK_EQ(bine_value_as_i64(value_of(group)), 4);
    bine_deferred_release(group);
    close_members(rt);
}

/* ---- rejections, releases, the close ---- */

TEST(a_group_rejected_with_no_one_to_take_it_is_reported_once)
{
    bine *rt = open_members();
    bine_deferred *group = group_of(rt, bine_all, 2);

    bine_deferred_release(group);
    fail(0, -1500, "lost");
    fail(1, -1501, "also");
    settle(rt);
    CHECK_EQ(error_count(), 1);
    CHECK_STR(error_message(0), "lost");
    forget_errors();
    close_members(rt);
}

TEST(groups_outstanding_at_the_close_are_freed)
{
    bine *rt = open_members();
    bine_deferred *groups[3];

    for (size_t i = 0; i < 3; i++)
        groups[i] = group_of(rt, makers[i], MEMBERS);
    CHECK_OK(bine_resolve(resolvers[0], counted())); /* its turn never comes */
    CHECK_OK(bine_deferred_cancel(groups[0]));
    CHECK_OK(bine_close(rt));
    CHECK_EQ(cancels, 0);
    for (size_t i = 0; i < 3; i++) {
        CHECK_EQ(bine_deferred_state(groups[i]), BINE_ECLOSED);
        bine_deferred_release(groups[i]);
    }
    for (size_t i = 0; i < MEMBERS; i++) {
        if (i > 0)
            CHECK_STATUS(bine_resolve(resolvers[i], counted()), BINE_ECLOSED);
        bine_deferred_release(members[i]);
    }
    CHECK_EQ(counted_destroyed(), MEMBERS);
}

/* ---- deep ---- */

enum { DEEP = 100000 };

static bine_deferred *deep_group(bine *rt, maker make)
{
    bine_deferred *last = bine_deferred_retain(members[0]);

    for (int i = 0; i < DEEP; i++) {
        bine_deferred *group;

        CHECK_OK(make(rt, &last, 1, &group));
        bine_deferred_release(last);
        last = group;
    }
    return last;
}

TEST(groups_of_groups_resolve_as_deep_as_they_like)
{
    bine *rt = open_members();
    bine_deferred *all = deep_group(rt, bine_all);
    bine_deferred *any = deep_group(rt, bine_any);
    bine_deferred *each = deep_group(rt, bine_settle);
    const bine_value *at;
    int depth = 0;

    bring(0, 9);
    settle(rt);
    CHECK_EQ(bine_value_as_i64(value_of(any)), 9);
    for (at = value_of(all); bine_value_kind(at) == BINE_LIST; at = bine_value_at(at, 0))
        depth++;
    CHECK_EQ(depth, DEEP);
    CHECK_EQ(bine_value_as_i64(at), 9);
    CHECK_EQ(bine_value_count(value_of(each)), 1);
    bine_deferred_release(all);
    bine_deferred_release(any);
    bine_deferred_release(each);
    close_members(rt);
}

TEST(groups_of_groups_are_rejected_and_cancelled_as_deep_as_they_like)
{
    bine *rt = open_members();
    bine_deferred *group = deep_group(rt, bine_all);

    fail(0, -1500, "at the bottom");
    settle(rt);
    CHECK_STR(message_of(group), "at the bottom");
    drop(group);
    bine_deferred_release(members[0]);
    CHECK_OK(bine_deferred_new(rt, end_as_cancelled, &resolvers[0], &members[0], &resolvers[0]));
    group = deep_group(rt, bine_any);
    CHECK_OK(bine_deferred_cancel(group));
    settle(rt);
    CHECK_EQ(cancels, 1);
    CHECK_EQ(bine_deferred_state(group), BINE_ECANCELED);
    bine_deferred_release(group);
    close_members(rt);
}

TEST(groups_of_groups_are_closed_as_deep_as_they_like)
{
    bine *rt = open_members();
    bine_deferred *group = deep_group(rt, bine_all);

    bine_deferred_release(group);
    CHECK_OK(bine_close(rt));
    for (size_t i = 0; i < MEMBERS; i++) {
        bine_resolver_drop(resolvers[i]);
        bine_deferred_release(members[i]);
    }
}

TEST(a_group_of_a_hundred_thousand)
{
    static bine_deferred *many[DEEP];
    static bine_resolver *theirs[DEEP];
    bine *rt = open_runtime();
    bine_deferred *groups[3];

    for (size_t i = 0; i < DEEP; i++)
        CHECK_OK(bine_deferred_new(rt, NULL, NULL, &many[i], &theirs[i]));
    for (size_t i = 0; i < 3; i++)
        CHECK_OK(makers[i](rt, many, DEEP, &groups[i]));
    for (size_t i = DEEP; i-- > 0;)
        CHECK_OK(bine_resolve(theirs[i], bine_value_i64((int64_t)i)));
    settle(rt);
    CHECK_EQ(bine_value_count(value_of(groups[0])), DEEP);
    CHECK_EQ(bine_value_as_i64(bine_value_at(value_of(groups[0]), 77777)), 77777);
    CHECK_EQ(bine_value_as_i64(value_of(groups[1])), DEEP - 1);
    for (size_t i = 0; i < DEEP; i++)
        bine_deferred_release(many[i]);
    for (size_t i = 0; i < 3; i++)
        bine_deferred_release(groups[i]);
    close_runtime(rt);
}
