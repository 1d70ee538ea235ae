#pragma once
// curl_easy_setopt and its like are variadic, which Swift cannot call: one typed function per kind of argument.
#include <curl/curl.h>

static inline CURLcode oms_curl_set_long(CURL *easy, CURLoption option, long value) {
    return curl_easy_setopt(easy, option, value);
}

static inline CURLcode oms_curl_set_offset(CURL *easy, CURLoption option, curl_off_t value) {
    return curl_easy_setopt(easy, option, value);
}

static inline CURLcode oms_curl_set_string(CURL *easy, CURLoption option, const char *value) {
    return curl_easy_setopt(easy, option, value);
}

static inline CURLcode oms_curl_set_pointer(CURL *easy, CURLoption option, void *value) {
    return curl_easy_setopt(easy, option, value);
}

static inline CURLcode oms_curl_set_list(CURL *easy, CURLoption option, struct curl_slist *value) {
    return curl_easy_setopt(easy, option, value);
}

typedef size_t (*oms_curl_data_function)(char *bytes, size_t size, size_t count, void *context);
typedef curl_socket_t (*oms_curl_socket_function)(void *context, curlsocktype purpose, struct curl_sockaddr *address);

/// For WRITEFUNCTION, HEADERFUNCTION and READFUNCTION, which share one signature.
static inline CURLcode oms_curl_set_data_function(CURL *easy, CURLoption option, oms_curl_data_function value) {
    return curl_easy_setopt(easy, option, value);
}

static inline CURLcode oms_curl_set_socket_function(CURL *easy, oms_curl_socket_function value) {
    return curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, value);
}

static inline long oms_curl_get_long(CURL *easy, CURLINFO info) {
    long value = 0;
    curl_easy_getinfo(easy, info, &value);
    return value;
}

static inline curl_off_t oms_curl_get_offset(CURL *easy, CURLINFO info) {
    curl_off_t value = 0;
    curl_easy_getinfo(easy, info, &value);
    return value;
}

static inline void *oms_curl_get_private(CURL *easy) {
    char *value = NULL;
    curl_easy_getinfo(easy, CURLINFO_PRIVATE, &value);
    return value;
}

static inline CURLMcode oms_curl_multi_set_long(CURLM *multi, CURLMoption option, long value) {
    return curl_multi_setopt(multi, option, value);
}

/// The transfer that `message` says is done, with its result; NULL for other messages.
static inline CURL *oms_curl_done(const CURLMsg *message, CURLcode *result) {
    if (message->msg != CURLMSG_DONE) return NULL;
    *result = message->data.result;
    return message->easy_handle;
}

static inline struct sockaddr *oms_curl_address(struct curl_sockaddr *address) {
    return &address->addr;
}
