/* A PKCS#11 module in front of another one, WAXSEAL_FAULTY_MODULE, that fails as hardware does. Before
 * each call it reads what the file WAXSEAL_FAULT_MODE says:
 *
 *   none        every call goes through
 *   removed     the device was removed: nothing works, and there is no slot
 *   hang        calls are not answered until the mode changes
 *   restart     once: the module behind is reinitialised, so that sessions and logins are lost
 *   busy        the device has no resources left
 *   no-wrap     the key may not encrypt; no-unwrap: it may not decrypt
 *   garbage     what is decrypted comes back as other bytes, one short
 *   no-login    every login fails, with an unspecific code
 *   mute        the values of objects are not shown
 *   slow-login  a login takes half a second
 *   one-login   the same, and another process that initialises the module, reads the token or logs in
 *               meanwhile gets an unspecific code
 *
 * The types are those of the standard, written out, since no header of it is part of a C compiler. */

#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

typedef unsigned long ulong_t;
typedef ulong_t (*call_t)();

enum {
    OK = 0x0,
    DEVICE_MEMORY = 0x31,
    DEVICE_REMOVED = 0x32,
    KEY_FUNCTION_NOT_PERMITTED = 0x68,
    GENERAL_ERROR = 0x5,
    ATTRIBUTE_SENSITIVE = 0x11,
};
/* The positions of the calls in the list of version 2.x. */
enum {
    INITIALIZE = 0, FINALIZE = 1, GET_SLOT_LIST = 4, GET_TOKEN_INFO = 6, OPEN_SESSION = 12,
    GET_SESSION_INFO = 15, LOGIN = 18, GET_ATTRIBUTE_VALUE = 24, FIND_OBJECTS_INIT = 26, ENCRYPT_INIT = 29, DECRYPT_INIT = 33, DECRYPT = 34,
    CALLS = 68
};

struct list {
    unsigned char version[2];
    call_t calls[CALLS];
};

static struct list *behind;
static struct list ours;
static void *arguments;

static void mode(char *word, size_t size) {
    word[0] = 0;
    FILE *file = fopen(getenv("WAXSEAL_FAULT_MODE"), "r");
    if (!file) return;
    if (fgets(word, (int)size, file)) word[strcspn(word, "\n")] = 0;
    fclose(file);
}

/* The lock that Waxseal holds while it logs in to the module behind. A process that loads this module holds
 * that of this file instead, and would get in the way of one that loads the other (SoftHSM up to 2.6.1). */
static int lock_behind(void) {
    int file = open(getenv("WAXSEAL_FAULTY_MODULE"), O_RDONLY | O_CLOEXEC);
    if (file >= 0) flock(file, LOCK_EX);
    return file;
}

#define LOCKED(call) do { int lock = lock_behind(); ulong_t code = call; close(lock); return code; } while (0)

/* Decides the result of a call before it is forwarded. */
static ulong_t judge(void) {
    char word[32];
    for (mode(word, sizeof word); !strcmp(word, "hang"); mode(word, sizeof word)) usleep(20000);
    if (!strcmp(word, "removed")) return DEVICE_REMOVED;
    if (!strcmp(word, "busy")) return DEVICE_MEMORY;
    if (!strcmp(word, "restart")) {
        FILE *file = fopen(getenv("WAXSEAL_FAULT_MODE"), "w");
        if (file) fputs("none\n", file), fclose(file);
        behind->calls[FINALIZE](NULL);
        int lock = lock_behind();
        behind->calls[INITIALIZE](arguments);
        close(lock);
    }
    return OK;
}

static int is(const char *asked) {
    char word[32];
    mode(word, sizeof word);
    return !strcmp(word, asked);
}

/* The file that exists while a process logs in, in the mode for one login. */
static const char *in_login(void) {
    static char path[4096];
    snprintf(path, sizeof path, "%s.login", getenv("WAXSEAL_FAULT_MODE"));
    return path;
}

static int overlaps(void) {
    return is("one-login") && !access(in_login(), F_OK);
}

#define JUDGE() do { ulong_t code = judge(); if (code) return code; } while (0)

static ulong_t initialize(void *with) {
    arguments = with;
    if (overlaps()) return GENERAL_ERROR;
    LOCKED(behind->calls[INITIALIZE](with));
}

static ulong_t get_slot_list(unsigned char present, ulong_t *slots, ulong_t *count) {
    if (is("removed")) { *count = 0; return OK; }
    JUDGE();
    return behind->calls[GET_SLOT_LIST](present, slots, count);
}

static ulong_t get_token_info(ulong_t slot, void *info) {
    JUDGE();
    if (overlaps()) return GENERAL_ERROR;
    LOCKED(behind->calls[GET_TOKEN_INFO](slot, info));
}

static ulong_t open_session(ulong_t slot, ulong_t flags, void *app, void *notify, ulong_t *session) {
    JUDGE();
    return behind->calls[OPEN_SESSION](slot, flags, app, notify, session);
}

static ulong_t get_session_info(ulong_t session, void *info) {
    JUDGE();
    return behind->calls[GET_SESSION_INFO](session, info);
}

static ulong_t login(ulong_t session, ulong_t user, void *pin, ulong_t pin_len) {
    JUDGE();
    if (is("no-login")) return GENERAL_ERROR;
    int alone = is("one-login");
    if (alone) {
        int file = open(in_login(), O_CREAT | O_EXCL | O_WRONLY, 0600);
        if (file < 0) return GENERAL_ERROR;
        close(file);
    }
    if (alone || is("slow-login")) usleep(500000);
    int lock = lock_behind();
    ulong_t code = behind->calls[LOGIN](session, user, pin, pin_len);
    close(lock);
    if (alone) unlink(in_login());
    return code;
}

struct attribute {
    ulong_t type;
    void *value;
    ulong_t len;
};
enum { VALUE = 0x11 };

static ulong_t get_attribute_value(ulong_t session, ulong_t object, struct attribute *all, ulong_t count) {
    JUDGE();
    ulong_t code = behind->calls[GET_ATTRIBUTE_VALUE](session, object, all, count);
    if (!is("mute")) return code;
    for (ulong_t index = 0; index < count; index++) {
        if (all[index].type != VALUE) continue;
        all[index].len = (ulong_t)-1;
        code = ATTRIBUTE_SENSITIVE;
    }
    return code;
}

static ulong_t find_objects_init(ulong_t session, void *template, ulong_t count) {
    JUDGE();
    return behind->calls[FIND_OBJECTS_INIT](session, template, count);
}

static ulong_t encrypt_init(ulong_t session, void *mechanism, ulong_t key) {
    JUDGE();
    if (is("no-wrap")) return KEY_FUNCTION_NOT_PERMITTED;
    return behind->calls[ENCRYPT_INIT](session, mechanism, key);
}

static ulong_t decrypt_init(ulong_t session, void *mechanism, ulong_t key) {
    JUDGE();
    if (is("no-unwrap")) return KEY_FUNCTION_NOT_PERMITTED;
    return behind->calls[DECRYPT_INIT](session, mechanism, key);
}

static ulong_t decrypt(ulong_t session, void *in, ulong_t in_len, unsigned char *out, ulong_t *out_len) {
    ulong_t code = behind->calls[DECRYPT](session, in, in_len, out, out_len);
    if (!code && out && *out_len && is("garbage")) memset(out, 0x5a, --*out_len);
    return code;
}

ulong_t C_GetFunctionList(struct list **list) {
    if (!behind) {
        void *module = dlopen(getenv("WAXSEAL_FAULTY_MODULE"), RTLD_NOW);
        if (!module) return GENERAL_ERROR;
        ulong_t (*get)(struct list **) = (ulong_t (*)(struct list **))dlsym(module, "C_GetFunctionList");
        if (!get || get(&behind)) return GENERAL_ERROR;
        ours = *behind;
        ours.calls[INITIALIZE] = (call_t)initialize;
        ours.calls[GET_SLOT_LIST] = (call_t)get_slot_list;
        ours.calls[GET_TOKEN_INFO] = (call_t)get_token_info;
        ours.calls[OPEN_SESSION] = (call_t)open_session;
        ours.calls[GET_SESSION_INFO] = (call_t)get_session_info;
        ours.calls[LOGIN] = (call_t)login;
        ours.calls[GET_ATTRIBUTE_VALUE] = (call_t)get_attribute_value;
        ours.calls[FIND_OBJECTS_INIT] = (call_t)find_objects_init;
        ours.calls[ENCRYPT_INIT] = (call_t)encrypt_init;
        ours.calls[DECRYPT_INIT] = (call_t)decrypt_init;
        ours.calls[DECRYPT] = (call_t)decrypt;
    }
    *list = &ours;
    return OK;
}
