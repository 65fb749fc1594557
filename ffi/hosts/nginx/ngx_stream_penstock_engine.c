/*
 * The engine of a worker process: one, made after the fork and freed before
 * the exit, so that master, cache manager and signal senders have none.
 *
 * Its ends arrive at a descriptor and its messages, which come on a thread of
 * its own, through a pair of sockets: nginx's logs (syslog above all) are for
 * nginx's thread alone. Both are read in nginx's event loop, as nginx's own
 * channel to its master is: neither holds a worker that is to leave.
 */

#include "ngx_stream_penstock.h"

#include <ngx_channel.h>


/* a line of nginx's log has no room for more */
#define NGX_STREAM_PENSTOCK_MESSAGE  1900


static ngx_int_t ngx_stream_penstock_start(ngx_cycle_t *cycle,
    ngx_stream_penstock_main_conf_t *pmcf);
static void ngx_stream_penstock_completion_handler(ngx_event_t *ev);
static ngx_int_t ngx_stream_penstock_open_log(ngx_cycle_t *cycle);
static void ngx_stream_penstock_log_callback(uint32_t level,
    const char *message, void *context);
static void ngx_stream_penstock_log_handler(ngx_event_t *ev);
static void ngx_stream_penstock_write_log(ngx_log_t *log);


static penstock_engine  engine;

/* tunnels: that may be, and that are */
static ngx_uint_t       most;
static ngx_uint_t       live;

/* messages: read here, written by the engine's thread */
static int              log_pair[2] = { -1, -1 };
static ngx_atomic_t     log_lost;


penstock_engine
ngx_stream_penstock_engine(void)
{
    return engine;
}


ngx_uint_t
ngx_stream_penstock_has_room(void)
{
    return live < most;
}


penstock_status
ngx_stream_penstock_join(int client, int upstream,
    const penstock_tunnel_options *options, penstock_id *id)
{
    penstock_status  status;

    status = penstock_tunnel(engine, client, upstream, options, id);

    if (status == PENSTOCK_OK) {
        live++;
    }

    return status;
}


ngx_int_t
ngx_stream_penstock_init_process(ngx_cycle_t *cycle)
{
    char                              error[512];
    ngx_stream_penstock_main_conf_t  *pmcf;

    if (ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE)
    {
        return NGX_OK;
    }

    pmcf = ngx_stream_cycle_get_module_main_conf(cycle,
                                                 ngx_stream_penstock_module);

    if (pmcf == NULL || !pmcf->wanted) {
        return NGX_OK;
    }

    if (ngx_stream_penstock_open_log(cycle) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_stream_penstock_start(cycle, pmcf) == NGX_OK) {
        return NGX_OK;
    }

    /* a worker without an engine serves all the same */

    error[0] = '\0';
    (void) penstock_last_error(error, sizeof(error));

    ngx_log_error(NGX_LOG_ALERT, cycle->log, 0,
                  "penstock: no engine in this worker, so nginx carries all "
                  "sessions by itself: %s", error);

    (void) penstock_free(engine);
    engine = 0;

    return NGX_OK;
}


static ngx_int_t
ngx_stream_penstock_start(ngx_cycle_t *cycle,
    ngx_stream_penstock_main_conf_t *pmcf)
{
    int              fd;
    penstock_counts  counts;
    penstock_values  values;

    PENSTOCK_INIT(values);

    values.workers = (uint32_t) pmcf->workers;
    values.driver = (uint32_t) pmcf->driver;

    PENSTOCK_INIT(counts);

    if (penstock_create(&values, &engine) != PENSTOCK_OK
        || penstock_completion_fd(engine, &fd) != PENSTOCK_OK
        || penstock_start(engine) != PENSTOCK_OK
        || penstock_metrics(engine, &counts) != PENSTOCK_OK)
    {
        return NGX_ERROR;
    }

    /*
     * The engine takes as many as the descriptors of this process allow; but
     * of each nginx holds two as well, and must not run out of them.
     */

    most = ngx_max(counts.max_tunnels / 2, 1);

    ngx_log_error(NGX_LOG_NOTICE, cycle->log, 0,
                  "penstock: %ui sessions at most in this worker", most);

    return ngx_add_channel_event(cycle, fd, NGX_READ_EVENT,
                                 ngx_stream_penstock_completion_handler);
}


void
ngx_stream_penstock_exit_process(ngx_cycle_t *cycle)
{
    if (engine) {
        (void) penstock_free(engine);
        engine = 0;
    }

    if (log_pair[0] != -1) {
        (void) penstock_on_log(PENSTOCK_LEVEL_OFF, NULL, NULL);
        ngx_stream_penstock_write_log(cycle->log);
    }
}


static void
ngx_stream_penstock_completion_handler(ngx_event_t *ev)
{
    penstock_completion  completion;

    for ( ;; ) {
        PENSTOCK_INIT(completion);

        if (penstock_next_completion(engine, &completion) != PENSTOCK_OK) {
            return;
        }

        live--;
        ngx_stream_penstock_end(completion.user_data, &completion);
    }
}


static ngx_int_t
ngx_stream_penstock_open_log(ngx_cycle_t *cycle)
{
    uint32_t  level;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET|SOCK_NONBLOCK|SOCK_CLOEXEC, 0,
                   log_pair)
        == -1)
    {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, ngx_errno,
                      "socketpair() failed");
        return NGX_ERROR;
    }

    if (ngx_add_channel_event(cycle, log_pair[0], NGX_READ_EVENT,
                              ngx_stream_penstock_log_handler)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    level = cycle->log->log_level & NGX_LOG_DEBUG_STREAM ? PENSTOCK_LEVEL_DEBUG
            : cycle->log->log_level >= NGX_LOG_NOTICE ? PENSTOCK_LEVEL_INFO
            : cycle->log->log_level >= NGX_LOG_WARN ? PENSTOCK_LEVEL_WARN
            : PENSTOCK_LEVEL_ERROR;

    if (penstock_on_log(level, ngx_stream_penstock_log_callback, NULL)
        != PENSTOCK_OK)
    {
        ngx_log_error(NGX_LOG_ALERT, cycle->log, 0,
                      "penstock: its messages can't be heard");
    }

    return NGX_OK;
}


/* on a thread of the engine's: one packet, the level and the line */

static void
ngx_stream_penstock_log_callback(uint32_t level, const char *message,
    void *context)
{
    u_char         first;
    struct iovec   parts[2];
    struct msghdr  packet;

    first = (u_char) level;

    parts[0].iov_base = &first;
    parts[0].iov_len = 1;
    parts[1].iov_base = (void *) message;
    parts[1].iov_len = ngx_min(strlen(message), NGX_STREAM_PENSTOCK_MESSAGE);

    memset(&packet, 0, sizeof(packet));

    packet.msg_iov = parts;
    packet.msg_iovlen = 2;

    if (sendmsg(log_pair[1], &packet, MSG_NOSIGNAL) == -1) {
        (void) ngx_atomic_fetch_add(&log_lost, 1);
    }
}


static void
ngx_stream_penstock_log_handler(ngx_event_t *ev)
{
    ngx_stream_penstock_write_log(ngx_cycle->log);
}


static void
ngx_stream_penstock_write_log(ngx_log_t *log)
{
    u_char             packet[NGX_STREAM_PENSTOCK_MESSAGE + 1];
    ssize_t            n;
    ngx_uint_t         level;
    ngx_atomic_uint_t  lost;

    static ngx_uint_t  levels[] = {
        NGX_LOG_ERR, NGX_LOG_ERR, NGX_LOG_WARN, NGX_LOG_NOTICE
    };

    while ((n = recv(log_pair[0], packet, sizeof(packet), 0)) > 0) {
        level = packet[0] < 4 ? levels[packet[0]] : NGX_LOG_DEBUG;

        ngx_log_error(level, log, 0, "penstock: %*s",
                      (size_t) n - 1, packet + 1);
    }

    lost = log_lost;

    if (lost) {
        (void) ngx_atomic_fetch_add(&log_lost, -(ngx_atomic_int_t) lost);

        ngx_log_error(NGX_LOG_WARN, log, 0,
                      "penstock: %uA messages too many at once", lost);
    }
}
