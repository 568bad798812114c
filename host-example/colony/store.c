/* The tables of a colony, and the statements that fill and read them. See store.h. */
#include "store.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    VERSION = 1,
    APPLICATION = 0x636f6c6f, /* "colo": so that no other program's file is taken for ours */
    BUSY_MS = 2000            /* patience with somebody who looks into the file meanwhile */
};

/* seed and rng are unsigned in the world; SQLite keeps the same 64 bits as signed numbers. */
static const char schema[] = "CREATE TABLE meta ("
                             " id INTEGER PRIMARY KEY CHECK (id = 1),"
                             " seed INTEGER NOT NULL, frame INTEGER NOT NULL, stored INTEGER NOT NULL,"
                             " agents INTEGER NOT NULL, food INTEGER NOT NULL,"
                             " rng0 INTEGER NOT NULL, rng1 INTEGER NOT NULL,"
                             " rng2 INTEGER NOT NULL, rng3 INTEGER NOT NULL);"
                             "CREATE TABLE agents ("
                             " id INTEGER PRIMARY KEY, x REAL NOT NULL, y REAL NOT NULL,"
                             " goal_x REAL NOT NULL, goal_y REAL NOT NULL, activity TEXT NOT NULL,"
                             " beyond INTEGER NOT NULL, carried INTEGER NOT NULL, timer INTEGER NOT NULL,"
                             " food INTEGER NOT NULL, gained INTEGER NOT NULL);"
                             "CREATE TABLE food ("
                             " id INTEGER PRIMARY KEY, x REAL NOT NULL, y REAL NOT NULL,"
                             " amount INTEGER NOT NULL, most INTEGER NOT NULL,"
                             " grow_frames INTEGER NOT NULL, timer INTEGER NOT NULL);";

static const char save_meta_sql[] =
    "INSERT OR REPLACE INTO meta (id, seed, frame, stored, agents, food, rng0, rng1, rng2, rng3)"
    " VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
static const char save_agent_sql[] =
    "INSERT OR REPLACE INTO agents (id, x, y, goal_x, goal_y, activity, beyond, carried, timer,"
    " food, gained) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
static const char save_food_sql[] = "INSERT OR REPLACE INTO food (id, x, y, amount, most, grow_frames, timer)"
                                    " VALUES (?, ?, ?, ?, ?, ?, ?)";

static const char load_meta_sql[] =
    "SELECT seed, frame, stored, agents, food, rng0, rng1, rng2, rng3 FROM meta";
static const char load_agents_sql[] =
    "SELECT id, x, y, goal_x, goal_y, activity, beyond, carried, timer, food, gained"
    " FROM agents ORDER BY id";
static const char load_foods_sql[] =
    "SELECT id, x, y, amount, most, grow_frames, timer FROM food ORDER BY id";

struct store {
    sqlite3 *db;
    char *path;
    sqlite3_stmt *save_meta;
    sqlite3_stmt *save_agent;
    sqlite3_stmt *save_food;
};

/* --- errors, and running SQL ------------------------------------------------------------- */

static int fail(const store *s, const char *doing)
{
    fprintf(stderr, "colony: %s: %s: %s\n", s->path, doing, sqlite3_errmsg(s->db));
    return STORE_ERROR;
}

static int refuse(const store *s, const char *why)
{
    fprintf(stderr, "colony: %s: %s\n", s->path, why);
    return STORE_ERROR;
}

static int run(store *s, const char *sql)
{
    if (sqlite3_exec(s->db, sql, NULL, NULL, NULL) != SQLITE_OK)
        return fail(s, sql);
    return STORE_OK;
}

static int prepare(store *s, const char *sql, sqlite3_stmt **out)
{
    if (sqlite3_prepare_v3(s->db, sql, -1, SQLITE_PREPARE_PERSISTENT, out, NULL) != SQLITE_OK)
        return fail(s, sql);
    return STORE_OK;
}

static int query_int(store *s, const char *sql, int *out)
{
    sqlite3_stmt *stmt = NULL;
    int status = prepare(s, sql, &stmt);

    if (status != STORE_OK)
        return status;
    if (sqlite3_step(stmt) == SQLITE_ROW)
        *out = sqlite3_column_int(stmt, 0);
    else
        status = fail(s, sql);
    sqlite3_finalize(stmt);
    return status;
}

/* --- a row on its way in: columns are bound one after the other, the status is kept ------- */

typedef struct row {
    sqlite3_stmt *stmt;
    int column;
    int status; /* of SQLite: the first that was not SQLITE_OK */
} row;

static row row_into(sqlite3_stmt *stmt)
{
    return (row){.stmt = stmt, .column = 0, .status = SQLITE_OK};
}

static void keep(row *r, int status)
{
    if (r->status == SQLITE_OK)
        r->status = status;
}

static void put_int(row *r, int64_t v)
{
    r->column++;
    keep(r, sqlite3_bind_int64(r->stmt, r->column, v));
}

static void put_real(row *r, double v)
{
    r->column++;
    keep(r, sqlite3_bind_double(r->stmt, r->column, v));
}

/* `text` is static: SQLite need not copy it. */
static void put_text(row *r, const char *text)
{
    r->column++;
    keep(r, sqlite3_bind_text(r->stmt, r->column, text, -1, SQLITE_STATIC));
}

static int write_row(store *s, row *r, const char *doing)
{
    int status = STORE_OK;

    if (r->status == SQLITE_OK)
        keep(r, sqlite3_step(r->stmt) == SQLITE_DONE ? SQLITE_OK : SQLITE_ERROR);
    if (r->status != SQLITE_OK)
        status = fail(s, doing);
    sqlite3_reset(r->stmt); /* repeats the step's status, which has been told */
    return status;
}

/* --- opening ----------------------------------------------------------------------------- */

static int create(store *s)
{
    char sql[128];
    int status = run(s, "BEGIN IMMEDIATE");

    if (status == STORE_OK)
        status = run(s, schema);
    snprintf(sql, sizeof sql, "PRAGMA application_id = %d; PRAGMA user_version = %d", APPLICATION, VERSION);
    if (status == STORE_OK)
        status = run(s, sql);
    if (status == STORE_OK)
        status = run(s, "COMMIT");
    return status;
}

/* Only a file without any table may become a colony. */
static int check_version(store *s)
{
    int application = 0;
    int version = 0;
    int tables = 0;
    int status = query_int(s, "PRAGMA application_id", &application);

    if (status == STORE_OK)
        status = query_int(s, "PRAGMA user_version", &version);
    if (status == STORE_OK)
        status = query_int(s, "SELECT count(*) FROM sqlite_master", &tables);
    if (status != STORE_OK)
        return status;
    if (application == 0 && version == 0 && tables == 0)
        return create(s);
    if (application != APPLICATION)
        return refuse(s, "is a SQLite file, but not a colony's");
    if (version == VERSION)
        return STORE_OK;
    fprintf(stderr, "colony: %s: has user_version %d, this program knows %d\n", s->path, version, VERSION);
    return STORE_ERROR;
}

/* The version comes first: a file of somebody else is not even switched to WAL. */
static int prepare_all(store *s)
{
    int status = check_version(s);

    if (status == STORE_OK)
        status = run(s, "PRAGMA journal_mode = WAL");
    if (status == STORE_OK) /* enough against a kill; a power cut may cost the last saves */
        status = run(s, "PRAGMA synchronous = NORMAL");
    if (status == STORE_OK)
        status = prepare(s, save_meta_sql, &s->save_meta);
    if (status == STORE_OK)
        status = prepare(s, save_agent_sql, &s->save_agent);
    if (status == STORE_OK)
        status = prepare(s, save_food_sql, &s->save_food);
    return status;
}

static int open_file(store *s)
{
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;

    if (sqlite3_open_v2(s->path, &s->db, flags, NULL) != SQLITE_OK)
        return fail(s, "open");
    sqlite3_busy_timeout(s->db, BUSY_MS);
    return prepare_all(s);
}

int store_open(const char *path, store **out)
{
    store *s = calloc(1, sizeof *s);
    int status;

    *out = NULL;
    if (s != NULL)
        s->path = strdup(path);
    if (s == NULL || s->path == NULL) {
        free(s);
        fprintf(stderr, "colony: %s: out of memory\n", path);
        return STORE_ERROR;
    }
    status = open_file(s);
    if (status != STORE_OK) {
        store_close(s);
        return status;
    }
    *out = s;
    return STORE_OK;
}

void store_close(store *s)
{
    if (s == NULL)
        return;
    sqlite3_finalize(s->save_meta);
    sqlite3_finalize(s->save_agent);
    sqlite3_finalize(s->save_food);
    if (sqlite3_close(s->db) != SQLITE_OK)
        fail(s, "close");
    free(s->path);
    free(s);
}

/* --- saving ------------------------------------------------------------------------------ */

static int save_meta(store *s, const world *w)
{
    row r = row_into(s->save_meta);

    put_int(&r, (int64_t)w->seed);
    put_int(&r, (int64_t)w->frame);
    put_int(&r, w->stored);
    put_int(&r, (int64_t)w->agent_count);
    put_int(&r, (int64_t)w->food_count);
    for (size_t i = 0; i < 4; i++)
        put_int(&r, (int64_t)w->rng[i]);
    return write_row(s, &r, "saving meta");
}

static int save_agent(store *s, size_t id, const world_agent *a)
{
    row r = row_into(s->save_agent);

    put_int(&r, (int64_t)id);
    put_real(&r, a->x);
    put_real(&r, a->y);
    put_real(&r, a->goal_x);
    put_real(&r, a->goal_y);
    put_text(&r, world_activity_name(a->activity));
    put_int(&r, a->beyond);
    put_int(&r, a->carried);
    put_int(&r, a->timer);
    put_int(&r, a->food);
    put_int(&r, a->gained);
    return write_row(s, &r, "saving agents");
}

static int save_food(store *s, size_t id, const world_food *f)
{
    row r = row_into(s->save_food);

    put_int(&r, (int64_t)id);
    put_real(&r, f->x);
    put_real(&r, f->y);
    put_int(&r, f->amount);
    put_int(&r, f->most);
    put_int(&r, f->grow_frames);
    put_int(&r, f->timer);
    return write_row(s, &r, "saving food");
}

static int save_all(store *s, const world *w)
{
    int status = save_meta(s, w);

    for (size_t i = 0; status == STORE_OK && i < w->agent_count; i++)
        status = save_agent(s, i, &w->agents[i]);
    for (size_t i = 0; status == STORE_OK && i < w->food_count; i++)
        status = save_food(s, i, &w->foods[i]);
    return status;
}

int store_save(store *s, const world *w)
{
    int status = run(s, "BEGIN IMMEDIATE");

    if (status != STORE_OK)
        return status;
    status = save_all(s, w);
    if (status == STORE_OK)
        status = run(s, "COMMIT");
    if (status != STORE_OK && sqlite3_get_autocommit(s->db) == 0)
        run(s, "ROLLBACK"); /* what went wrong has been told; an error here is told too */
    return status;
}

/* --- loading ----------------------------------------------------------------------------- */

/* A row on its way out: the columns one after the other, and whether all made sense. */
typedef struct reading {
    sqlite3_stmt *stmt;
    int column;
    bool sound;
} reading;

static int64_t take_int(reading *r, int64_t low, int64_t high)
{
    int64_t v = sqlite3_column_int64(r->stmt, r->column);

    r->column++;
    if (v < low || v > high)
        r->sound = false;
    return v;
}

static double take_real(reading *r, double high)
{
    double v = sqlite3_column_double(r->stmt, r->column);

    r->column++;
    if (!(v >= 0.0 && v <= high))
        r->sound = false;
    return v;
}

static world_activity take_activity(reading *r)
{
    const char *name = (const char *)sqlite3_column_text(r->stmt, r->column);
    world_activity activity = WORLD_IDLE;

    r->column++;
    if (name == NULL || !world_activity_named(name, &activity))
        r->sound = false;
    return activity;
}

static void take_agent(reading *r, const world *w, world_agent *a)
{
    a->x = take_real(r, WORLD_WIDTH);
    a->y = take_real(r, WORLD_HEIGHT);
    a->goal_x = take_real(r, WORLD_WIDTH);
    a->goal_y = take_real(r, WORLD_HEIGHT);
    a->activity = take_activity(r);
    a->beyond = take_int(r, 0, 1) != 0;
    a->carried = (int)take_int(r, 0, WORLD_CAPACITY);
    a->timer = (int)take_int(r, 0, INT32_MAX);
    a->food = (int)take_int(r, -1, (int64_t)w->food_count - 1);
    a->gained = (int)take_int(r, 0, WORLD_CAPACITY);
}

static void take_food(reading *r, world_food *f)
{
    f->x = take_real(r, WORLD_WIDTH);
    f->y = take_real(r, WORLD_HEIGHT);
    f->amount = (int)take_int(r, 0, INT32_MAX);
    f->most = (int)take_int(r, f->amount, INT32_MAX);
    f->grow_frames = (int)take_int(r, 1, INT32_MAX);
    f->timer = (int)take_int(r, 0, INT32_MAX);
}

/* Reads the rows of one table into the `count` places that the world has for them. */
static int load_rows(store *s, const char *sql, world *w, bool agents, size_t count)
{
    sqlite3_stmt *stmt = NULL;
    int status = prepare(s, sql, &stmt);
    reading r = {.stmt = stmt, .column = 0, .sound = true};

    for (size_t i = 0; status == STORE_OK && i < count; i++) {
        if (sqlite3_step(stmt) != SQLITE_ROW) {
            status = fail(s, agents ? "an agent is missing" : "food is missing");
            break;
        }
        r.column = 0;
        take_int(&r, (int64_t)i, (int64_t)i);
        if (agents)
            take_agent(&r, w, &w->agents[i]);
        else
            take_food(&r, &w->foods[i]);
        if (!r.sound)
            status = refuse(s, agents ? "an agent makes no sense" : "food makes no sense");
    }
    sqlite3_finalize(stmt);
    return status;
}

static int load_meta_row(store *s, sqlite3_stmt *stmt, world **out)
{
    reading r = {.stmt = stmt, .column = 0, .sound = true};
    uint64_t seed = (uint64_t)take_int(&r, INT64_MIN, INT64_MAX);
    uint64_t frame = (uint64_t)take_int(&r, 0, INT64_MAX);
    int64_t stored = take_int(&r, 0, INT64_MAX);
    size_t agents = (size_t)take_int(&r, 1, WORLD_AGENTS_MOST);
    size_t foods = (size_t)take_int(&r, 1, WORLD_FOODS_MOST);
    world *w;

    if (!r.sound)
        return refuse(s, "meta makes no sense");
    w = world_new(agents, foods);
    if (w == NULL)
        return refuse(s, "out of memory");
    w->seed = seed;
    w->frame = frame;
    w->stored = stored;
    for (size_t i = 0; i < 4; i++)
        w->rng[i] = (uint64_t)take_int(&r, INT64_MIN, INT64_MAX);
    *out = w;
    return STORE_OK;
}

static int load_meta(store *s, world **out)
{
    sqlite3_stmt *stmt = NULL;
    int status = prepare(s, load_meta_sql, &stmt);
    int step;

    if (status != STORE_OK)
        return status;
    step = sqlite3_step(stmt);
    if (step == SQLITE_ROW)
        status = load_meta_row(s, stmt, out);
    else if (step == SQLITE_DONE)
        status = STORE_EMPTY;
    else
        status = fail(s, "loading meta");
    sqlite3_finalize(stmt);
    return status;
}

static int load_all(store *s, world **out)
{
    int status = load_meta(s, out);

    if (status == STORE_OK)
        status = load_rows(s, load_agents_sql, *out, true, (*out)->agent_count);
    if (status == STORE_OK)
        status = load_rows(s, load_foods_sql, *out, false, (*out)->food_count);
    if (status == STORE_OK)
        world_index(*out);
    return status;
}

/* In a transaction, so that the three tables are of the same frame. */
int store_load(store *s, world **out)
{
    int status;

    *out = NULL;
    status = run(s, "BEGIN");
    if (status != STORE_OK)
        return status;
    status = load_all(s, out);
    run(s, "ROLLBACK"); /* nothing was written */
    if (status != STORE_OK) {
        world_free(*out);
        *out = NULL;
    }
    return status;
}
