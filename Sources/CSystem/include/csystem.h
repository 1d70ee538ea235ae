#pragma once
// What Swift's Glibc module map leaves out: eventfd, and fork+exec with a parent-death signal.
#include <sys/eventfd.h>
