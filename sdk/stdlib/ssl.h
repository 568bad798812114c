/* TLS connections, at the end. Owner thread with the GIL held. */
#ifndef BINE_STDLIB_SSL_H
#define BINE_STDLIB_SSL_H

/* Lets go of what was kept of writes that were given up midway. */
void bine__ssl_close(void);

#endif
