#include "base/version.h"

/* The only file that is compiled again when the commit is another. */
const char *version_text(void)
{
#ifdef TP_COMMIT
    return TP_VERSION " (" TP_COMMIT ")";
#else
    return TP_VERSION;
#endif
}
