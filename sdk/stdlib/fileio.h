/* Module io's types: what is no function is put in place at open, and taken away at close. */
#ifndef BINE_STDLIB_FILEIO_H
#define BINE_STDLIB_FILEIO_H

/* 0, or -1 with an exception. Owner thread, GIL held. */
int bine__fileio_open(void);
void bine__fileio_close(void);

#endif
