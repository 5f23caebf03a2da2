/* The stand-in of the run folder on a machine that is not the coordinator's: a folder of this user's alone, below $TMPDIR. The
 * node removes it; or the stages, if they outlive the node; or, if nobody does, the next node. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "node/node.h"

static const char *parent(void)
{
    const char *path = getenv("TMPDIR");

    return path && path[0] == '/' ? path : "/tmp";
}

static void sweep(int folder)
{
    DIR *directory = fdopendir(dup(folder));
    const struct dirent *entry;
    unsigned user;
    int pid;

    if (!directory)
        return;
    while ((entry = readdir(directory)))
        if (sscanf(entry->d_name, "tp-node-%u-%d-", &user, &pid) == 2 && user == getuid() && kill(pid, 0) &&
            errno == ESRCH)
            file_remove_tree(folder, entry->d_name);
    closedir(directory);
}

int folder_make(struct node *node, struct error *error)
{
    const int above = open(parent(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (above >= 0) {
        sweep(above);
        close(above);
    }
    if (snprintf(node->folder_path, sizeof(node->folder_path), "%s/tp-node-%u-%d-XXXXXX", parent(), getuid(),
                 (int)getpid()) >= (int)sizeof(node->folder_path) ||
        !mkdtemp(node->folder_path)) {
        error_set(error, "cannot make a folder in %s: %s", parent(), strerror(errno));
        node->folder_path[0] = '\0';
        return -1;
    }
    /* The stages inherit it. */
    node->folder = open(node->folder_path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    return node->folder < 0 ? error_set(error, "cannot open %s: %s", node->folder_path, strerror(errno)) : 0;
}
