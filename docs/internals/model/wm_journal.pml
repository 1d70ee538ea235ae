/* The journal: how what a Work Manager (WM) knows becomes rows, once, across deaths of either side.
 *
 * One tenant, one job, epochs 1..2. WM(e) numbers its entries 1, 2, 3; the last one says how the job ended. It sends
 * batches with any borders, any number of times; any of them may be lost, doubled, late or out of order, and any of them
 * may be the one that a registry hands to PostgreSQL, before or after its own restart: so the registry has no state
 * here, it may forget all it had at any time.
 * How to run, what each knob (-DNAME) removes, and which code keeps the rule: README.md. */

#define E 2
#define N 3                                     /* entries of one epoch                                     */
#define A(e,n)   (((e)-1)*N+(n)-1)
#define M(e,f,l) ((((e)-1)*N+(f)-1)*N+(l)-1)
#define LOSSES 1                                /* LIVE: messages that are really gone                      */

/* ---- messages ---- */
bool m_journal[E*N*N];                          /* entries f..l of epoch e                                  */
bool m_down[E+1];  byte m_last[E+1];            /* the receipt, with the number of the last entry           */
/* ---- PostgreSQL ---- */
byte cur = 1;                                   /* the open epoch                                           */
byte ack[E+1];                                  /* how many entries of it are committed                     */
byte rows[E*N];                                 /* how often the effects of an entry were written           */
byte term = 0;                                  /* the job's terminal row: which epoch's word it holds      */
/* ---- the registry between two transactions (only where a knob tears one apart) ---- */
byte pe = 0, pf, pl;
bool read_early = false;  byte resume = 0;      /* what the next WM is told of the job                      */
/* ---- WMs ---- */
byte made[E+1], forgot[E+1];                    /* entries made; entries dropped because acknowledged       */
bool alive[E+1];
bool sent[E*N*N];  byte losses = 0;             /* only for SEND_ONCE; LIVE                                 */

#if defined(NO_NUMBER)
#define continues(e,f,l) true
#elif defined(NO_GAP_CHECK)
#define continues(e,f,l) (l>ack[e])
#else
#define continues(e,f,l) (ack[e]==f-1)          /* exactly where the committed ones end                     */
#endif
#ifdef OLD_EPOCH_COMMITS
#define may_write(e) (e<=cur)
#else
#define may_write(e) (e==cur)                   /* an epoch that has ended writes nothing any more          */
#endif
#ifdef NO_COMPARE
#define complete(e) true
#else
#define complete(e) (ack[e]==m_last[e])
#endif
#ifdef DOOR
#define silent true                             /* the host is silent for too long: the old WM may live on  */
#else
#define silent false
#endif

#define over(e) (pe==0 && (m_down[e] && complete(e) || !m_down[e] && !alive[e] || silent))

inline effects(e,f,l) { i = f;
  do
  :: i<=l ->
     rows[A(e,i)]++; assert(rows[A(e,i)]==1);                               /* J1: nothing is written twice */
     assert(e==cur);                                                        /* J2: only by the open epoch   */
     if
     :: i==N && term==0 -> term = e
#ifdef NO_TERMINAL_GUARD
     :: i==N && term!=0 -> assert(term==e); term = e                        /* J3: a terminal row stands    */
#endif
     :: else                                                                /* a later word changes nothing */
     fi; i++
  :: else -> break
  od; i = 0 }

/* What PostgreSQL may be asked to commit next. */
#if defined(NUMBER_FIRST)
#define COMMIT(e,f,l) :: atomic { m_journal[M(e,f,l)] && may_write(e) && continues(e,f,l) && pe==0 -> \
                                  ack[e] = l; pe = e; pf = f; pl = l }
#elif defined(EFFECTS_FIRST)
#define COMMIT(e,f,l) :: atomic { m_journal[M(e,f,l)] && may_write(e) && continues(e,f,l) && pe==0 -> \
                                  effects(e,f,l); pe = e; pf = f; pl = l }
#else
#define COMMIT(e,f,l) :: atomic { m_journal[M(e,f,l)] && may_write(e) && continues(e,f,l) -> \
                                  effects(e,f,l); ack[e] = (l>ack[e] -> l : ack[e]) }
#endif

active proctype PostgreSQL() { byte i;
end: do
  COMMIT(1,1,1) COMMIT(1,1,2) COMMIT(1,1,3) COMMIT(1,2,2) COMMIT(1,2,3) COMMIT(1,3,3)
  COMMIT(2,1,1) COMMIT(2,1,2) COMMIT(2,1,3) COMMIT(2,2,2) COMMIT(2,2,3) COMMIT(2,3,3)
#if defined(NUMBER_FIRST)
  :: atomic { pe!=0 -> if :: pe==cur -> effects(pe,pf,pl) :: else fi; pe = 0 }
#elif defined(EFFECTS_FIRST)
  :: atomic { pe!=0 -> ack[pe] = pl; pe = 0 }
#endif
  :: atomic { pe!=0 -> pe = 0 }                                             /* kill -9 between the two      */
  /* openEpoch: `down` has come and every entry up to its last; or the WM is dead (a newer boot), or silent */
#ifdef RESUME_EARLY
  :: atomic { cur<E && !read_early -> read_early = true; resume = term }
  :: atomic { cur<E && over(cur) && read_early ->
#else
  :: atomic { cur<E && over(cur) -> resume = term;                          /* read in the same transaction */
#endif
       assert(!m_down[cur] || ack[cur]==m_last[cur]);                       /* J4: a receipt is complete    */
       assert(resume==term);                                                /* J5: the resume is the truth  */
       cur++; alive[cur] = true }
  od }

/* What a WM may send next: only what it has and what is not acknowledged. */
#ifdef SEND_ONCE
#define SEND(f,l) :: atomic { alive[e] && forgot[e]<f && made[e]>=l && !sent[M(e,f,l)] -> \
                              sent[M(e,f,l)] = true; m_journal[M(e,f,l)] = true }
#else
#define SEND(f,l) :: atomic { alive[e] && forgot[e]<f && made[e]>=l && !m_journal[M(e,f,l)] -> \
                              m_journal[M(e,f,l)] = true }
#endif
#ifdef ACK_BEFORE_COMMIT
#define acknowledged (m_journal[M(e,forgot[e]+1,forgot[e]+1)])
#else
#define acknowledged (forgot[e]<ack[e])
#endif
#ifdef DOWN_EARLY
#define flushed true
#else
#define flushed (forgot[e]==made[e])
#endif

proctype WM(byte e) {
  alive[e];
end: do
  :: atomic { alive[e] && made[e]<N -> made[e]++ }                          /* the last one: the job's end  */
  SEND(1,1) SEND(1,2) SEND(1,3) SEND(2,2) SEND(2,3) SEND(3,3)
  :: atomic { alive[e] && forgot[e]<made[e] && acknowledged ->
       forgot[e]++; assert(rows[A(e,forgot[e])]==1) }                       /* J6: forgotten means written  */
  /* drained: flushed, then ended, then down */
  :: atomic { alive[e] && e<E && flushed -> alive[e] = false; m_down[e] = true; m_last[e] = made[e] }
  :: atomic { alive[e] && e<E -> alive[e] = false }                         /* kill -9: its memory is gone  */
  od }

#ifdef LIVE
#define LOSE(x) :: atomic { losses<LOSSES && m_journal[x] -> losses++; m_journal[x] = false }
active proctype Net() { bit tick = 0;
end: do
  :: tick = 1-tick        /* time goes on: without a step that is always possible, Spin (-f) overlooks a standstill */
  LOSE(M(1,1,1)) LOSE(M(1,1,2)) LOSE(M(1,2,3)) LOSE(M(2,1,1)) LOSE(M(2,2,2)) LOSE(M(2,1,3)) LOSE(M(2,2,3)) LOSE(M(2,3,3))
  od }
ltl recorded { <> (term!=0) }                                               /* every job gets its end       */
#endif

init { alive[1] = true; atomic { run WM(1); run WM(2) } }
