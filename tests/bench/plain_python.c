/* plain_python ...: python3 out of the very libpython that Bine embeds, so that a peer's numbers
 * are those of the same interpreter: a distribution's python3 is often built apart. */
#include <Python.h>

int main(int argc, char **argv)
{
    return Py_BytesMain(argc, argv);
}
