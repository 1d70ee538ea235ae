/* The door: gateways that seal, go away and come back while a tenant's epoch changes.
 *
 * Network: a soup of messages (see wm_epoch.pml). The Work Managers (WMs) are as bad as can be: each one that was ever
 * started talks for ever, so a command of any epoch up to `cur` may arrive at any time. Fleets and drains therefore do
 * not appear: nothing here rests on a WM having ended.
 * How to run, what each knob (-DNAME) removes, and which code keeps the rule: README.md.
 *
 * The property, at each send: no call leaves for an epoch below the one whose WM has been started. */

#ifndef E
#define E 3                                     /* epochs 1..E                                              */
#endif
#ifndef G
#define G 1                                     /* gateways, each with one Service Provider (SP)            */
#endif
#ifndef S
#define S 2                                     /* sessions of one gateway, numbered from 0: a new one with */
#endif
#define X(g,s) ((g)*S+(s))                      /*   each connection, so also with each process             */
#define NONE S
#define LAST (G-1)

mtype = { RUN, SEAL };                          /* DRAIN is part of RUN here, SWEEP is wm_sweep.pml         */
mtype = { UP,                                   /* connected                                                */
          STALE,                                /* the broker has let it go (last will), it has not noticed */
          CUT,                                  /* it knows: nothing new leaves, what is in flight ends     */
          DEAD };                               /* kill -9                                                  */

/* ---- messages (presence and last will follow from `ses` and `link`) ---- */
bool m_seal[E+1], m_sealed[G*S*(E+1)], m_attach[G*S*(E+1)];

/* ---- PostgreSQL ---- */
byte  cur = 0;  mtype ph = SEAL;
byte  att[G];                                   /* 1 + session to which its SP is attached, or may be       */

/* ---- the registry's memory, gone with its process ---- */
byte  view[G];                                  /* the session it last heard of                             */
byte  ack[G];                                   /* highest epoch for which that session answered `sealed`   */
bool  frozen[G];                                /* only for FROZEN_SET                                      */

/* ---- gateways ---- */
mtype link[G];  byte ses[G];
bool  open[G];                                  /* the SP is attached: commands are taken, calls are made   */
byte  fence[G];                                 /* on disk (ledger)                                         */
byte  q[G];                                     /* epoch of a submit that waits for its turn                */
byte  fl[G];  bool snt[G];                      /* epoch of the call in flight, from its check on; sent yet */

/* ---- the rules, each with the knob that removes it ---- */
#ifdef ROW_WITHOUT_SESSION
#define judged(g) view[g]
#else
#define judged(g) (att[g]-1)                    /* the session that its row names, not the one last heard of */
#endif
#define over(g) (ses[g]>judged(g) || link[g]!=UP)                           /* last will, or a newer one    */
#ifdef NO_HOLD
#define gone(g) over(g)
#else /* It is over for so long that the gateway has noticed and its calls have ended (connection timeout + call
       * timeout). Here as if the registry could see it; a process that is paused for longer breaks it. */
#define gone(g) (over(g) && (ses[g]>judged(g) || link[g]==CUT || link[g]==DEAD) && fl[g]==0)
#endif
#if defined(NO_SEAL)
#define shut(g) true
#elif defined(FROZEN_SET)
#define shut(g) (!frozen[g] || ack[g]>cur)      /* who was attached when the sealing began                  */
#else
#define shut(g) (att[g]==0 || ack[g]>cur)       /* who is attached, or may be, in the transaction that opens */
#endif
#ifdef ATTACH_SEALS                             /* other design: the attach itself carries the fence        */
#define carries (cur+(ph==SEAL))
#else
#define carries 0
#endif
#if defined(ATTACH_FIRST) || defined(ATTACH_SEALS)
#define sealed_before_attach(g) true
#elif defined(FOR_CURRENT)
#define sealed_before_attach(g) (cur>0 && ack[g]>=cur)
#else
#define sealed_before_attach(g) (ack[g]>=cur+(ph==SEAL))                    /* while sealing: for the next  */
#endif
#if defined(NO_WAIT)
#define quiet(g) true
#elif defined(WAIT_FROM_SEND)
#define quiet(g) (!snt[g] || fl[g]>=fence[g])
#else
#define quiet(g) (fl[g]==0 || fl[g]>=fence[g])  /* in flight counts from the check, not from the send       */
#endif
#ifdef ATTACH_UNBOUND
#define attached(g,n) (m_attach[X(g,0)*(E+1)+n] || m_attach[X(g,ses[g])*(E+1)+n])
#else
#define attached(g,n) m_attach[X(g,ses[g])*(E+1)+n]     /* an attach names the session that it is meant for */
#endif
#ifdef SENDS_WHEN_CUT
#define linked(g) (link[g]!=DEAD)
#else
#define linked(g) (link[g]==UP || link[g]==STALE)
#endif
#ifdef EXACT
#define FENCE_IS_ENOUGH assert(e==fence[g])     /* F: no command above the fence: only a seal need raise it */
#else
#define FENCE_IS_ENOUGH skip
#endif
#ifdef CHECK_ONLY_ON_ARRIVAL
#define current(g) true
#else
#define current(g) (q[g]>=fence[g])             /* what waited is checked once more when its turn comes      */
#endif

#ifdef ONE_SP                                   /* both gateways reach the same SP: attached to one at a time */
#define elsewhere(g) (att[1-g]!=0)
#define alone(g)     (fl[1-g]==0)
#else
#define elsewhere(g) false
#define alone(g)     true
#endif

active proctype Registry() { byte g, n;
end: do
  :: atomic { ph==RUN && cur<E -> ph = SEAL; m_seal[cur+1] = 1; frozen[0] = att[0]!=0; frozen[LAST] = att[LAST]!=0 }
  :: atomic { ph==SEAL && shut(0) && shut(LAST) -> cur++; ph = RUN }        /* open and start: WM(cur) works */
  :: atomic { g = 0; do :: g<LAST -> g++ :: break od;                       /* one of the gateways          */
       if
       :: view[g]==NONE -> view[g] = 0; ack[g] = 0                          /* presence, perhaps an old one */
       :: view[g]<ses[g] -> view[g]++; ack[g] = 0                           /* an answer counts for its session */
       :: view[g]!=NONE -> n = 1; do :: n<E -> n++ :: break od;
          if :: m_sealed[X(g,view[g])*(E+1)+n] && n>ack[g] -> ack[g] = n
#ifdef ACK_UNBOUND
             :: m_sealed[X(g,0)*(E+1)+n] && n>ack[g] -> ack[g] = n
#endif
             :: else fi
       :: view[g]!=NONE && sealed_before_attach(g) && !elsewhere(g) ->
          att[g] = view[g]+1; m_attach[X(g,view[g])*(E+1)+carries] = 1      /* the row, then the message    */
       :: att[g]!=0 && view[g]!=NONE && gone(g) -> att[g] = 0                /* go on without it             */
       :: else fi; g = 0; n = 0 }
  :: atomic { ack[0] = 0; ack[LAST] = 0;                                    /* kill -9 and restart          */
#if defined(ATTACH_VOLATILE)
       att[0] = 0; att[LAST] = 0; view[0] = NONE; view[LAST] = NONE
#elif defined(ROW_WITHOUT_SESSION)
       view[0] = NONE; view[LAST] = NONE
#else
       view[0] = (att[0]!=0 -> att[0]-1 : NONE); view[LAST] = (att[LAST]!=0 -> att[LAST]-1 : NONE)
#endif
     }
  od }

proctype Gateway(byte g) { byte e;
end: do
  /* seal: the fence rises first, on disk; then what is in flight ends; then it answers, as often as asked */
  :: atomic { link[g]==UP -> e = 1; do :: e<E -> e++ :: break od;
       if :: m_seal[e] && e>fence[g] -> fence[g] = e :: else fi; e = 0 }
  :: atomic { link[g]==UP && fence[g]!=0 && quiet(g) -> m_sealed[X(g,ses[g])*(E+1)+fence[g]] = 1 }
  :: atomic { link[g]==UP -> e = 0; do :: e<E -> e++ :: break od;
       if :: attached(g,e) -> open[g] = 1; if :: e>fence[g] -> fence[g] = e :: else fi :: else fi; e = 0 }
  :: atomic { link[g]==UP && open[g] -> e = 1; do :: e<E -> e++ :: break od;/* a submit of a started epoch  */
       if :: e<=cur && e>=fence[g] && e>q[g] -> FENCE_IS_ENOUGH; q[g] = e :: else fi; e = 0 }
  :: atomic { linked(g) && open[g] && fl[g]==0 && q[g]!=0 && current(g) -> fl[g] = q[g]; q[g] = 0 }
  :: atomic { fl[g]!=0 && !snt[g] -> snt[g] = 1; assert(cur<=fl[g]);        /* D: no call of an old epoch   */
       assert(alone(g));                                                    /* M: one gateway at an SP      */
#ifdef WITNESS
       assert(!(cur==E && ses[LAST]==1))                                    /* must fail: this is reached   */
#endif
     }
  :: atomic { snt[g] -> fl[g] = 0; snt[g] = 0 }                             /* answered, or given up        */
  /* the connection, and the process */
  :: atomic { link[g]==UP && ses[g]<S-1 -> link[g] = STALE }
  :: atomic { link[g]==STALE -> link[g] = CUT }
  :: atomic { link[g]==CUT || link[g]==DEAD -> ses[g]++; link[g] = UP;
#ifndef DOOR_STAYS_OPEN
       open[g] = 0                                                          /* until it is attached anew    */
#endif
     }
  :: atomic { link[g]!=DEAD && ses[g]<S-1 -> link[g] = DEAD; open[g] = 0; fl[g] = 0; snt[g] = 0;
#ifdef VOLATILE_FENCE
       fence[g] = 0
#endif
     }
  od }

init { atomic {
    link[0] = UP; link[LAST] = UP; view[0] = NONE; view[LAST] = NONE; m_seal[1] = 1;
    run Gateway(0); if :: LAST>0 -> run Gateway(LAST) :: else fi
  } }
