/* A listener that asks the host, and a host that answers as a test has written it down. */
#ifndef ASKING_H
#define ASKING_H

#include "rig.h"

#include <pthread.h>

/* A listener for CONNECT, to this machine's own ports, too: who names one is otherwise refused before anybody is asked. */
#define ASKING_CONNECT "service = \"connect\"\naccess = [\"allow here\", \"allow all\"]"

/* What the callback answers, and what it was asked. */
struct policy {
    pthread_mutex_t mutex;
    pthread_cond_t asked;
    uint32_t verdict;
    /* To be told by penstock_decide() within the callback; NULL: nothing. */
    const penstock_decision *decision;
    int times;
    penstock_id id;
    char listener[64], client[64], method[32], target[256], path[256], token[64], head[1024];
};

/* Who carries the bytes, and how the host is asked. */
struct asking {
    struct rig rig;
    struct policy policy;
    int origin;
    int origin_port;
    int port;
};

uint32_t asking_authorise(penstock_engine engine, const penstock_request *request, void *context);
/* An engine with one listener, "ask", with these keys beside policy and address. */
void asking_open(struct asking *place, const char *listener);
void asking_close(struct asking *place);
/* Waits until the host was asked so many times; the number of the last request. */
penstock_id asking_await(struct asking *place, int times);
/* Asks for a CONNECT to the origin. */
int asking_request(struct asking *place);
/* The status of the answer. */
int asking_answered(int client);
/* Client and target are joined, and the end is told with `user_data`. */
void asking_joined(struct asking *place, int client, int target, void *user_data);

#endif
