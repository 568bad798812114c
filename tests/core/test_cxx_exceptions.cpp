// C++ exceptions and switches: each micro-thread has its own exceptions being handled, as each
// OS thread has. The public headers are C++ too.
#include "fixture.h"

#include <exception>
#include <stdexcept>
#include <string>

namespace
{

std::string current()
{
    try {
        throw;
    } catch (const std::exception &e) {
        return e.what();
    }
}

int answer(bine_call *call, const std::string &text)
{
    return bine_return(call, bine_value_str_sized(text.data(), text.size()));
}

// Throws `text` and lets others run while it is being handled; what is current afterwards?
int handle(bine_call *call, void *)
{
    std::string text = bine_arg_str(call, 0, nullptr);
    std::string seen;

    try {
        throw std::runtime_error(text);
    } catch (const std::runtime_error &) {
        CHECK_OK(bine_yield());
        seen += current();
        CHECK_OK(bine_sleep(SECOND));
        seen += current();
    }
    CHECK(std::current_exception() == nullptr);
    return answer(call, seen);
}

// Rethrows by `throw;` after a wait, to an outer handler on the same stack.
int rethrow(bine_call *call, void *)
{
    std::string text = bine_arg_str(call, 0, nullptr);

    try {
        try {
            throw std::runtime_error(text);
        } catch (...) {
            CHECK_OK(bine_yield());
            throw;
        }
    } catch (const std::runtime_error &e) {
        std::string outer = e.what();

        CHECK_OK(bine_yield());
        return answer(call, outer);
    }
}

// A destructor that waits while the stack unwinds.
struct waits_at_the_end {
    int *uncaught;
    ~waits_at_the_end()
    {
        CHECK_OK(bine_yield());
        *uncaught = std::uncaught_exceptions();
    }
};

int unwind(bine_call *call, void *)
{
    int uncaught = -1;

    try {
        waits_at_the_end guard{&uncaught};
        throw std::logic_error("unwinding");
    } catch (const std::logic_error &) {
    }
    return bine_return(call, bine_value_i64(uncaught));
}

int count_uncaught(bine_call *call, void *)
{
    int before = std::uncaught_exceptions();

    CHECK_OK(bine_yield());
    CHECK_EQ(std::uncaught_exceptions(), before);
    return bine_return(call, bine_value_i64(before));
}

// Throws `text` and emits it from the handler; what is current afterwards?
int emit_handling(bine_call *call, void *)
{
    std::string text = bine_arg_str(call, 0, nullptr);
    std::string seen;

    try {
        throw std::runtime_error(text);
    } catch (const std::runtime_error &) {
        for (int i = 0; i < 3; i++) {
            bine_value *args = bine_value_list();

            bine_value_append(args, bine_value_str(current().c_str()));
            CHECK_OK(bine_call_named(bine_call_runtime(call), "bine", "emit", args, nullptr, nullptr));
            seen += current();
        }
    }
    CHECK(std::current_exception() == nullptr);
    return answer(call, seen);
}

bine *open_with_functions()
{
    bine *rt = open_runtime();

    CHECK_OK(bine_def(rt, "host", "handle(text: str) -> str", handle, nullptr, nullptr));
    CHECK_OK(bine_def(rt, "host", "rethrow(text: str) -> str", rethrow, nullptr, nullptr));
    CHECK_OK(bine_def(rt, "host", "unwind() -> int", unwind, nullptr, nullptr));
    CHECK_OK(bine_def(rt, "host", "uncaught() -> int", count_uncaught, nullptr, nullptr));
    CHECK_OK(bine_def(rt, "host", "emit(text: str) -> str", emit_handling, nullptr, nullptr));
    return rt;
}

} // namespace

TEST(each_micro_thread_keeps_the_exception_it_handles)
{
    bine *rt = open_with_functions();

    run_script(rt, "import bine, host\n"
                   "all = [bine.spawn(host.handle, str(i)) for i in range(10)]\n"
                   "assert [t.join() for t in all] == [str(i) * 2 for i in range(10)]\n");
    close_runtime(rt);
}

TEST(a_rethrow_after_a_wait_throws_ones_own)
{
    bine *rt = open_with_functions();

    run_script(rt, "import bine, host\n"
                   "all = [bine.spawn(host.rethrow, str(i)) for i in range(10)]\n"
                   "assert [t.join() for t in all] == [str(i) for i in range(10)]\n");
    close_runtime(rt);
}

TEST(a_destructor_may_wait_while_its_stack_unwinds)
{
    bine *rt = open_with_functions();

    run_script(rt, "import bine, host\n"
                   "all = [bine.spawn(host.unwind) for _ in range(5)]\n"
                   "free = [bine.spawn(host.uncaught) for _ in range(5)]\n"
                   "assert [t.join() for t in all] == [1] * 5\n"
                   "assert [t.join() for t in free] == [0] * 5\n");
    close_runtime(rt);
}

TEST(each_generator_keeps_the_exception_it_handles)
{
    bine *rt = open_with_functions();

    run_script(rt, "import bine, host\n"
                   "def ask(n):\n"
                   "    all = [bine.generate(host.emit, f'{n}{i}') for i in range(5)]\n"
                   "    for _ in range(3):\n"
                   "        assert [next(g) for g in all] == [f'{n}{i}' for i in range(5)]\n"
                   "        assert host.handle('own') == 'own' * 2\n"
                   "    for i, g in enumerate(all):\n"
                   "        try: next(g)\n"
                   "        except StopIteration as stop: assert stop.value == f'{n}{i}' * 3\n"
                   "for t in [bine.spawn(ask, n) for n in range(3)]: t.join()\n");
    close_runtime(rt);
}

TEST(the_host_keeps_its_own_exception_while_scripts_handle_theirs)
{
    bine *rt = open_with_functions();

    start_script(rt, "import bine, host\n"
                     "all = [bine.spawn(host.handle, str(i)) for i in range(3)]\n"
                     "[t.join() for t in all]\n");
    try {
        throw std::runtime_error("the host's");
    } catch (...) {
        settle(rt);
        CHECK(current() == "the host's");
    }
    CHECK(std::current_exception() == nullptr);
    run_to_end(rt);
    close_runtime(rt);
}
