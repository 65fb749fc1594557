/*
 * What the files of the module share: its settings, what it keeps of
 * a session, and who calls whom.
 *
 *   _module.c    directives, the variable, what nginx calls the module by
 *   _check.c     what can't stand beside "penstock on", and versions
 *   _engine.c    one engine in each worker: its life, its ends, its messages
 *   _session.c   one session until it is connected
 *   _tunnel.c    the same from its handing over to its end
 */

#ifndef _NGX_STREAM_PENSTOCK_H_INCLUDED_
#define _NGX_STREAM_PENSTOCK_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_stream.h>

#include <penstock.h>


typedef struct {
    ngx_int_t                       workers;
    ngx_uint_t                      driver;

    /* some server says "penstock on" */
    ngx_uint_t                      wanted;
} ngx_stream_penstock_main_conf_t;


typedef struct {
    ngx_flag_t                      enable;

    /* where it was said */
    u_char                         *file_name;
    ngx_uint_t                      line;

    /* of proxy_pass, and its settings */
    ngx_stream_content_handler_pt   handler;
    ngx_msec_t                      timeout;
    ngx_flag_t                      half_close;
} ngx_stream_penstock_srv_conf_t;


typedef struct {
    ngx_stream_session_t           *session;

    /* nginx's own, in whose place the module's stand */
    ngx_event_handler_pt            client_handler;
    ngx_event_handler_pt            upstream_handler;
    ngx_resolver_handler_pt         resolve_handler;

    /* is set to 1 when the session's pool goes, unless NULL */
    ngx_uint_t                     *gone;

    penstock_id                     id;

    /* handed over with these bytes read already, of client and upstream */
    size_t                          early[2];

    /* why nginx goes on by itself */
    const char                     *reason;

    unsigned                        on:1;
    unsigned                        cancelled:1;
} ngx_stream_penstock_ctx_t;


extern ngx_module_t  ngx_stream_penstock_module;


/* NGX_ERROR: the library is another than the one of the header */
ngx_int_t ngx_stream_penstock_check_version(ngx_log_t *log);

/* looks at all servers, and puts itself before the proxy_pass of some */
ngx_int_t ngx_stream_penstock_take_servers(ngx_conf_t *cf);

/* of a worker that begins, and one that ends */
ngx_int_t ngx_stream_penstock_init_process(ngx_cycle_t *cycle);
void ngx_stream_penstock_exit_process(ngx_cycle_t *cycle);

/* this worker's; 0: there is none */
penstock_engine ngx_stream_penstock_engine(void);

/* 0: this worker's descriptors allow no further tunnel */
ngx_uint_t ngx_stream_penstock_has_room(void);

/* penstock_tunnel(), counted */
penstock_status ngx_stream_penstock_join(int client, int upstream,
    const penstock_tunnel_options *options, penstock_id *id);

/* a server's content handler */
void ngx_stream_penstock_handler(ngx_stream_session_t *s);

/* has a session's events looked at after nginx's handlers, or not any more */
void ngx_stream_penstock_watch(ngx_stream_penstock_ctx_t *ctx);
void ngx_stream_penstock_unwatch(ngx_stream_penstock_ctx_t *ctx);

/* nginx carries a session, and says why */
void ngx_stream_penstock_keep(ngx_stream_penstock_ctx_t *ctx,
    const char *reason, const char *text, ngx_err_t err);

/* gives a connected session to the engine, or for good back to nginx */
void ngx_stream_penstock_hand_over(ngx_stream_penstock_ctx_t *ctx);

/* takes an end from the engine; the session is gone afterwards */
void ngx_stream_penstock_end(ngx_stream_penstock_ctx_t *ctx,
    const penstock_completion *completion);


#endif /* _NGX_STREAM_PENSTOCK_H_INCLUDED_ */
