/*
 * keeper - speaks for the host, so that a hundred idle workers cost what one costs
 *
 * For each environment: one connection that listens and polls, one statement that renews all the
 * host's leases, the reclaim of claims whose holder died here, of this host's previous daemon, and
 * of dead hosts once their lease has ended and this keeper has been in unbroken contact for a whole
 * lease; promotes rows whose time has come; counts the queue. Wakes one sleeper for an event, and
 * the next for each claim made.
 *
 * Processes  keeper.
 */
#ifndef INDEXOCR_KEEPER_H
#define INDEXOCR_KEEPER_H

#include "process.h"

extern const struct role keeper_role;

#endif
