/* Who may live, and who may act: one tenant, its registry, PostgreSQL, two fleets, the door as one fence.
 *
 * The network is a soup of messages: a bit m_x, once set, may be seen at any later time, any number of times, in any
 * order, or never. So loss, delay, repetition, reordering and a broker's restart are all included.
 * How to run, what each knob (-DNAME) removes, and which code keeps the rule: README.md.
 *
 * STRICT: the registry waits for proof of death, and never two Work Managers (WMs) live.
 * DOOR:   it may also go on without (the host is silent): two may live, but only the newest passes the door. */

#define E 3                                     /* epochs 1..E                                         */
#define H 2                                     /* fleets (hosts)                                      */
#define B 2                                     /* processes (boots) of one fleet, one after the other */
#define P(h,b)   ((h)*B+(b))                    /* a fleet process                                     */
#define X(e,h,b) (((e)-1)*H*B+P(h,b))           /* an epoch given to a fleet process                   */

mtype = { RUN, DRAIN, SEAL };                   /* the phase SWEEP is wm_sweep.pml's subject           */

/* ---- messages ---- */
bool m_start[E*H*B], m_drain[E*H*B], m_down[E+1], m_boot[H*B], m_seal[E+1], m_sealed[E+1];

/* ---- PostgreSQL: a row per epoch, and the operation that replaces it ---- */
byte  cur = 0;                                  /* the open epoch                                      */
byte  row_h, row_b;                             /* the fleet process that it was given to              */
mtype ph = SEAL;
bool  t_open[E*H*B];                            /* openEpoch under way: may commit now, later or never */

/* ---- the registry's memory, gone with its process ---- */
byte  v_h, v_b;                                 /* what it last asked openEpoch for: only for OPEN_ECHO */

/* ---- fleets, gateway ---- */
byte  live[H*B];                                /* the epoch of the WM in that process, 0 = none       */
byte  fence = 0;                                /* epochs below it do not pass the door                */
byte  started = 0;                              /* for the properties: highest epoch sent to a fleet   */

#define one_live ((live[0]!=0)+(live[1]!=0)+(live[2]!=0)+(live[3]!=0) <= 1)

/* Proof of death: the drain receipt, or a newer process of the same fleet. Silence is none. */
#define proven (m_down[cur] || (row_b==0 && m_boot[P(row_h,1)]))
#if defined(DOOR) || defined(SILENCE_IS_PROOF)
#define may_go_on true                          /* the host has been silent for replace_after          */
#else
#define may_go_on proven
#endif
#ifdef OPEN_ECHO
#define ASKED_FOR(h,b) v_h = h; v_b = b
#else
#define ASKED_FOR(h,b) skip
#endif
#ifdef NO_SEAL
#define door_is_shut true
#else
#define door_is_shut m_sealed[cur+1]
#endif

active proctype Registry() { byte h, b;
  atomic { m_boot[P(0,0)] = 1; m_boot[P(1,0)] = 1 }
end: do
  :: atomic { ph==RUN && cur<E -> ph = DRAIN }            /* the operation's row, before anything is sent */
#ifdef DRAIN_BEFORE_ROW
  :: atomic { ph==RUN && cur<E -> m_drain[X(cur,row_h,row_b)] = 1 }
#endif
  :: atomic { ph==DRAIN && !m_drain[X(cur,row_h,row_b)] -> m_drain[X(cur,row_h,row_b)] = 1 }
  :: atomic { ph==DRAIN && may_go_on -> ph = SEAL }
  :: atomic { ph==SEAL && cur<E && !m_seal[cur+1] -> m_seal[cur+1] = 1 }
  :: atomic { ph==SEAL && cur<E && door_is_shut ->        /* choose a fleet; its newest boot may be news   */
       if :: h = 0 :: h = 1 fi; b = 0;
       if :: m_boot[P(h,1)] -> b = 1 :: true fi;
       t_open[X(cur+1,h,b)] = 1; ASKED_FOR(h,b); h = 0; b = 0 }
  :: atomic { ph==RUN ->                                  /* the start says what the row says              */
#ifdef OPEN_ECHO
       h = v_h; b = v_b;                                  /* ... not what was asked for                    */
#else
       h = row_h; b = row_b;
#endif
#ifndef NO_SEAL
       assert(fence>=cur);                                /* S: no start of an epoch that is not sealed    */
#endif
       m_start[X(cur,h,b)] = 1; started = cur; h = 0; b = 0 }
  /* kill -9 and restart: it goes on from the rows, and has nothing else in this model */
  od }

/* openEpoch: one transaction that names the number it expects. Its caller may never hear whether it committed (the
 * connection broke), so it may be asked for again, with another fleet, by this process or the next. */
#ifdef OPEN_ALLOCATES
#define expected(e) (cur<E)
#define take(e)     cur++                                 /* each try takes the next number                */
#else
#define expected(e) (cur+1==e)
#define take(e)     cur = e                               /* once per number; a repetition reads the row   */
#endif
#define OPEN(e,h,b) :: atomic { t_open[X(e,h,b)] && expected(e) -> t_open[X(e,h,b)] = 0; take(e); \
                                row_h = h; row_b = b; ph = RUN }
active proctype PostgreSQL() {
end: do
  OPEN(1,0,0) OPEN(1,0,1) OPEN(1,1,0) OPEN(1,1,1)
  OPEN(2,0,0) OPEN(2,0,1) OPEN(2,1,0) OPEN(2,1,1)
  OPEN(3,0,0) OPEN(3,0,1) OPEN(3,1,0) OPEN(3,1,1)
  od }

#ifdef ANY_BOOT
#define meant(m,e) (m[X(e,h,0)] || m[X(e,h,1)])
#else
#define meant(m,e) m[X(e,h,boot)]
#endif
/* A start is obeyed once and never below what this process has seen: `top` is its tombstone, kept in memory. It ends
 * an older WM of this process first. */
#define START(e) :: atomic { meant(m_start,e) && e>top -> live[P(h,boot)] = e; top = e; CHECK }
/* A drain ends the WM; only then it is down. Of a WM that never ran here, or ended before, it is down as well: the
 * tombstone makes sure that a start that comes later finds a closed door. */
#ifdef DOWN_FIRST
#define DRAIN_(e) :: atomic { meant(m_drain,e) && live[P(h,boot)]==e -> m_down[e] = 1 }; \
                     atomic { live[P(h,boot)]==e -> live[P(h,boot)] = 0 }
#else
#define DRAIN_(e) :: atomic { meant(m_drain,e) && live[P(h,boot)]==e -> ROW(e); live[P(h,boot)] = 0; m_down[e] = 1 }
#endif
#ifdef NO_TOMBSTONE
#define LATE(e) :: atomic { meant(m_drain,e) && live[P(h,boot)]!=e -> m_down[e] = 1 }
#else
#define LATE(e) :: atomic { meant(m_drain,e) && live[P(h,boot)]!=e -> if :: top<e -> top = e :: else fi; m_down[e] = 1 }
#endif
#define ROW(e) assert(cur>e || ph!=RUN)                   /* R: a drain that nobody forgets                */
#if defined(STRICT) || defined(ONE_LIVE)
#define CHECK assert(one_live)                            /* L: never two live                             */
#else
#define CHECK skip
#endif

proctype Fleet(byte h) { byte boot = 0, top = 0;
end: do
  :: atomic { boot<B-1 ->                                 /* kill -9 and restart: memory and WMs are gone  */
#ifndef NO_LOCK
       live[P(h,boot)] = 0;                               /* the newer process holds the lock of the older */
#endif
       boot++; top = 0; m_boot[P(h,boot)] = 1 }
  START(1) START(2) START(3)
  DRAIN_(1) DRAIN_(2) DRAIN_(3)
  LATE(1) LATE(2) LATE(3)
  od }

#define SEAL_(e) :: atomic { m_seal[e] && e>fence -> fence = e }
/* a command of a live WM that would pass the door although a newer one has been started */
#define ACT(p)   :: atomic { live[p]!=0 && live[p]>=fence && live[p]<started -> assert(live[p]>=started) }  /* A */
active proctype Gateway() {
end: do
  SEAL_(1) SEAL_(2) SEAL_(3)
  :: atomic { fence!=0 && !m_sealed[fence] -> m_sealed[fence] = 1 }
  ACT(0) ACT(1) ACT(2) ACT(3)
#ifdef WITNESS
  :: atomic { live[0]==E && live[0]>=fence -> assert(live[0]!=E) }          /* must fail: this is reached    */
#endif
  od }

init { atomic { run Fleet(0); run Fleet(1) } }
