/*
 * What is found out before nginx starts: whether the library is the one that
 * the module was built for, and whether "penstock on" can hold in a server.
 *
 * In: nginx's configuration, read and merged. Out: servers whose proxy_pass
 * the module stands before, or a message with file and line. Nothing is
 * ignored in silence: what the engine would not do as nginx does is refused.
 */

#include "ngx_stream_penstock.h"


static ngx_int_t ngx_stream_penstock_check_driver(ngx_conf_t *cf);
static ngx_int_t ngx_stream_penstock_take_server(ngx_conf_t *cf,
    ngx_stream_core_srv_conf_t *cscf);
static ngx_int_t ngx_stream_penstock_check_listen(ngx_conf_t *cf,
    ngx_stream_core_srv_conf_t *cscf);
static ngx_int_t ngx_stream_penstock_check_address(ngx_conf_t *cf,
    ngx_stream_core_srv_conf_t *cscf, int type, ngx_uint_t ssl);
static ngx_int_t ngx_stream_penstock_check_rate(ngx_conf_t *cf,
    ngx_stream_core_srv_conf_t *cscf, char *name);
static void *ngx_stream_penstock_setting(ngx_conf_t *cf,
    ngx_stream_core_srv_conf_t *cscf, char *module, char *directive);
static ngx_int_t ngx_stream_penstock_refuse(ngx_conf_t *cf,
    ngx_stream_core_srv_conf_t *cscf, char *beside, char *why);


#define NGX_STREAM_PENSTOCK_PROXY  "ngx_stream_proxy_module"


ngx_int_t
ngx_stream_penstock_check_version(ngx_log_t *log)
{
    if (penstock_abi_version() != PENSTOCK_ABI_VERSION) {
        ngx_log_error(NGX_LOG_EMERG, log, 0,
                      "the penstock module was built for Penstock %s "
                      "(ABI version %d), but the libpenstock that is loaded "
                      "is %s (ABI version %uD): build the module again with "
                      "ffi/hosts/nginx/build, or install the library that "
                      "it was built for",
                      PENSTOCK_VERSION, PENSTOCK_ABI_VERSION,
                      penstock_version(), penstock_abi_version());
        return NGX_ERROR;
    }

    if (ngx_strcmp(penstock_version(), PENSTOCK_VERSION) != 0) {
        ngx_log_error(NGX_LOG_WARN, log, 0,
                      "the penstock module was built for Penstock %s, and "
                      "the libpenstock that is loaded is %s: they agree on "
                      "the ABI (version %d), so this works; build the module "
                      "again with ffi/hosts/nginx/build to be rid of this",
                      PENSTOCK_VERSION, penstock_version(),
                      PENSTOCK_ABI_VERSION);
    }

    return NGX_OK;
}


ngx_int_t
ngx_stream_penstock_take_servers(ngx_conf_t *cf)
{
    ngx_uint_t                        i;
    ngx_stream_core_srv_conf_t      **cscfp;
    ngx_stream_core_main_conf_t      *cmcf;
    ngx_stream_penstock_srv_conf_t   *pscf;
    ngx_stream_penstock_main_conf_t  *pmcf;

    cmcf = ngx_stream_conf_get_module_main_conf(cf, ngx_stream_core_module);
    pmcf = ngx_stream_conf_get_module_main_conf(cf,
                                                ngx_stream_penstock_module);

    cscfp = cmcf->servers.elts;

    for (i = 0; i < cmcf->servers.nelts; i++) {
        pscf = cscfp[i]->ctx->srv_conf[ngx_stream_penstock_module.ctx_index];

        if (!pscf->enable) {
            continue;
        }

        if (ngx_stream_penstock_take_server(cf, cscfp[i]) != NGX_OK) {
            return NGX_ERROR;
        }

        pmcf->wanted = 1;
    }

    return pmcf->wanted ? ngx_stream_penstock_check_driver(cf) : NGX_OK;
}


static ngx_int_t
ngx_stream_penstock_check_driver(ngx_conf_t *cf)
{
    ngx_stream_penstock_main_conf_t  *pmcf;

    pmcf = ngx_stream_conf_get_module_main_conf(cf,
                                                ngx_stream_penstock_module);

    if (pmcf->driver == PENSTOCK_DRIVER_URING
        && !(penstock_features() & PENSTOCK_FEATURE_URING))
    {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"penstock_driver uring\": the kernel doesn't let this "
                      "process use io_uring; say \"auto\" or \"epoll\"");
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_stream_penstock_take_server(ngx_conf_t *cf,
    ngx_stream_core_srv_conf_t *cscf)
{
    ngx_str_t                       *script;
    ngx_msec_t                      *timeout;
    ngx_flag_t                      *half_close, *ssl;
    ngx_stream_penstock_srv_conf_t  *pscf;

    if (ngx_stream_penstock_check_listen(cf, cscf) != NGX_OK
        || ngx_stream_penstock_check_rate(cf, cscf, "proxy_upload_rate")
           != NGX_OK
        || ngx_stream_penstock_check_rate(cf, cscf, "proxy_download_rate")
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* an nginx without TLS, or without scripts, knows no such directive */

    ssl = ngx_stream_penstock_setting(cf, cscf, NGX_STREAM_PENSTOCK_PROXY,
                                      "proxy_ssl");

    if (ssl && *ssl) {
        return ngx_stream_penstock_refuse(cf, cscf, "\"proxy_ssl on\"",
                                          "the engine would carry the bytes "
                                          "past nginx's TLS");
    }

    script = ngx_stream_penstock_setting(cf, cscf, "ngx_stream_js_module",
                                         "js_filter");

    if (script && script->len) {
        return ngx_stream_penstock_refuse(cf, cscf, "\"js_filter\"",
                                          "the engine would carry the bytes "
                                          "past the script");
    }

    timeout = ngx_stream_penstock_setting(cf, cscf, NGX_STREAM_PENSTOCK_PROXY,
                                          "proxy_timeout");
    half_close = ngx_stream_penstock_setting(cf, cscf,
                                             NGX_STREAM_PENSTOCK_PROXY,
                                             "proxy_half_close");

    if (timeout == NULL || half_close == NULL) {
        return ngx_stream_penstock_refuse(cf, cscf, "this nginx",
                                          "it has no \"proxy_timeout\" or "
                                          "\"proxy_half_close\"");
    }

    pscf = cscf->ctx->srv_conf[ngx_stream_penstock_module.ctx_index];

    pscf->timeout = *timeout;
    pscf->half_close = *half_close;
    pscf->handler = cscf->handler;

    cscf->handler = ngx_stream_penstock_handler;

    return NGX_OK;
}


#if (nginx_version >= 1025005)

/* servers share addresses: what one says of TLS there holds for all */

static ngx_int_t
ngx_stream_penstock_check_listen(ngx_conf_t *cf,
    ngx_stream_core_srv_conf_t *cscf)
{
    ngx_uint_t                    p, a, s;
    ngx_stream_conf_addr_t       *addr;
    ngx_stream_conf_port_t       *port;
    ngx_stream_core_srv_conf_t  **server;
    ngx_stream_core_main_conf_t  *cmcf;

    cmcf = cscf->ctx->main_conf[ngx_stream_core_module.ctx_index];

    port = cmcf->ports->elts;

    for (p = 0; p < cmcf->ports->nelts; p++) {
        addr = port[p].addrs.elts;

        for (a = 0; a < port[p].addrs.nelts; a++) {
            server = addr[a].servers.elts;

            for (s = 0; s < addr[a].servers.nelts; s++) {
                if (server[s] == cscf
                    && ngx_stream_penstock_check_address(cf, cscf,
                                                         addr[a].opt.type,
                                                         addr[a].opt.ssl)
                       != NGX_OK)
                {
                    return NGX_ERROR;
                }
            }
        }
    }

    return NGX_OK;
}

#else

static ngx_int_t
ngx_stream_penstock_check_listen(ngx_conf_t *cf,
    ngx_stream_core_srv_conf_t *cscf)
{
    ngx_uint_t                    i;
    ngx_stream_listen_t          *listen;
    ngx_stream_core_main_conf_t  *cmcf;

    cmcf = cscf->ctx->main_conf[ngx_stream_core_module.ctx_index];

    listen = cmcf->listen.elts;

    for (i = 0; i < cmcf->listen.nelts; i++) {
        if (listen[i].ctx == cscf->ctx
            && ngx_stream_penstock_check_address(cf, cscf, listen[i].type,
                                                 listen[i].ssl)
               != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}

#endif


static ngx_int_t
ngx_stream_penstock_check_address(ngx_conf_t *cf,
    ngx_stream_core_srv_conf_t *cscf, int type, ngx_uint_t ssl)
{
    if (type != SOCK_STREAM) {
        return ngx_stream_penstock_refuse(cf, cscf, "\"listen ... udp\"",
                                          "the engine carries streams alone");
    }

    if (ssl) {
        return ngx_stream_penstock_refuse(cf, cscf, "\"listen ... ssl\"",
                                          "the engine would carry the bytes "
                                          "past nginx's TLS, which holds for "
                                          "all servers of one address");
    }

    return NGX_OK;
}


static ngx_int_t
ngx_stream_penstock_check_rate(ngx_conf_t *cf,
    ngx_stream_core_srv_conf_t *cscf, char *name)
{
    ngx_stream_complex_value_t  **rate;

    rate = ngx_stream_penstock_setting(cf, cscf, NGX_STREAM_PENSTOCK_PROXY,
                                       name);

    /* a rate of 0 is none; one with variables is known to the session alone */

    if (rate == NULL || *rate == NULL
        || ((*rate)->lengths == NULL && (*rate)->u.size == 0))
    {
        return NGX_OK;
    }

    return ngx_stream_penstock_refuse(cf, cscf, name,
                                      "the engine limits no rates");
}


/*
 * Settings of other modules are structures of their own files. Their
 * directives are no secret, though, and each says where in there its value is
 * kept: this holds in every version and build.
 */

static void *
ngx_stream_penstock_setting(ngx_conf_t *cf, ngx_stream_core_srv_conf_t *cscf,
    char *module, char *directive)
{
    u_char         *settings;
    ngx_uint_t      i;
    ngx_module_t   *m;
    ngx_command_t  *cmd;

    for (i = 0; cf->cycle->modules[i]; i++) {
        m = cf->cycle->modules[i];

        if (m->type != NGX_STREAM_MODULE || ngx_strcmp(m->name, module) != 0) {
            continue;
        }

        settings = cscf->ctx->srv_conf[m->ctx_index];

        for (cmd = m->commands; cmd && cmd->name.len; cmd++) {
            if (ngx_strcmp(cmd->name.data, directive) == 0) {
                return settings + cmd->offset;
            }
        }
    }

    return NULL;
}


static ngx_int_t
ngx_stream_penstock_refuse(ngx_conf_t *cf, ngx_stream_core_srv_conf_t *cscf,
    char *beside, char *why)
{
    ngx_stream_penstock_srv_conf_t  *pscf;

    pscf = cscf->ctx->srv_conf[ngx_stream_penstock_module.ctx_index];

    ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                  "\"penstock on\" in %s:%ui can't hold beside %s in the "
                  "server in %s:%ui: %s; say \"penstock off\" in that server, "
                  "or take the other away",
                  pscf->file_name, pscf->line, beside,
                  cscf->file_name, cscf->line, why);

    return NGX_ERROR;
}
