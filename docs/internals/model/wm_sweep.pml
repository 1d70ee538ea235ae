/* What becomes of a job when its Work Manager (WM) is replaced: ledger, stop, sweep, quarantine, adoption.
 *
 * One tenant, one gateway with its ledger, one Service Provider (SP), one job. Network: a soup of messages (see
 * wm_epoch.pml); calls to the SP may arrive late (`posts`), and a call may end without an answer.
 * How to run, what each knob (-DNAME) removes, and which code keeps the rule: README.md.
 *
 * Plain: the SP knows a job by its id, so a repeated submit is no second job. -DNO_IDS: it does not (adapters).
 * -DSP_TOMBSTONES: a stop before its submit makes the SP refuse the submit. -DSP_FENCING: it refuses lower epochs. */

#ifndef E
#define E 2                                     /* epochs 1..E                                              */
#endif
#ifndef CRASHES
#define CRASHES 2                               /* of the gateway                                           */
#endif
mtype = { RUN, DRAIN, SEAL, SWEEP };
mtype = { NONE, QUEUED, POSTING, UNKNOWN, KNOWN, ENDED };     /* the job in the gateway's memory            */
mtype = { NOTHING, INTENT, END };                             /* and in its ledger                          */

/* ---- messages ---- */
bool m_submit[E+2], m_stop[E+2], m_down[E+2], m_seal[E+2], m_sealed[E+2], m_sweep[E+2], m_swept[E+2], m_quar[E+2];
bool m_end = false;                             /* an event of the gateway: the job has ended               */
/* ---- PostgreSQL ---- */
byte  cur = 1;  mtype ph = RUN;
bool  forced = false;                           /* the operation went on without `down`                     */
bool  row = false;                              /* the job's row, out of the journal                        */
bool  keep = false;                             /* on_replace: adopt (else cancel)                          */
bool  quar = false;                             /* the job stands in the quarantine: somebody must look     */
bool  alive[E+2];                               /* WM(e)                                                    */
/* ---- gateway: memory ---- */
mtype mem = NONE;
byte  ep = 0, call = 0;                         /* the job's epoch; the epoch of the submit in flight       */
bool  snt = false, stop = false;                /* it has left; a stop is wanted                            */
byte  crashes = 0;
/* ---- gateway: disk ---- */
byte  fence = 1, lep = 0;  mtype led = NOTHING;
/* ---- SP, and the way to it ---- */
byte  posts = 0, poste = 0, exec = 0;           /* submits on the way, the epoch of the last, executions    */
bool  running = false, done = false, tomb = false;
byte  seen = 0;                                 /* highest epoch in a stop: only SP_FENCING heeds it        */

#define adopted (keep && row)                   /* only what the registry knows can be handed over          */
#ifdef DOWN_UNRECORDED
#define handed_over keep
#else
#define handed_over adopted
#endif
#ifdef NO_IDS
#define knows_ids false
#else
#define knows_ids true
#endif
#if defined(RESUBMIT) || !defined(NO_IDS)
#define may_repeat true                         /* a submit without an answer may be sent again             */
#else
#define may_repeat false
#endif
#ifdef SP_TOMBSTONES
#define tombs true
#else
#define tombs false
#endif
#ifdef STOP_OF_OLD_EPOCH
#define stop_epoch ep
#else
#define stop_epoch (ep>fence -> ep : fence)     /* a stop speaks for the epoch in force, not for its job's  */
#endif
#ifdef SP_FENCING
#define NOTE_EPOCH seen = (stop_epoch>seen -> stop_epoch : seen)
#define fenced (call<fence)                     /* what is still on its way is older than this stop         */
#else
#define NOTE_EPOCH skip
#define fenced false
#endif
#ifdef ABSENT_IS_END
#define absent_is_end true
#else                                           /* `no such job` ends a job only if no submit can be on its */
#define absent_is_end (tombs || fenced || led==NOTHING)  /* way, or if the SP will refuse it                */
#endif

#ifdef SWEEP_ALWAYS
#define must_sweep true
#else
#define must_sweep forced
#endif

active proctype Registry() {
  if :: keep = true :: keep = false fi;
end: do
  :: atomic { ph==RUN && cur<E -> ph = DRAIN; forced = false }
  :: atomic { ph==DRAIN && m_down[cur] -> ph = SEAL; m_seal[cur+1] = 1 }
  :: atomic { ph==DRAIN -> ph = SEAL; m_seal[cur+1] = 1; forced = true }    /* newer boot, or silence       */
  :: atomic { ph==SEAL && m_sealed[cur+1] && must_sweep -> ph = SWEEP; m_sweep[cur+1] = 1 }
#ifdef NO_SWEEP
  :: atomic { (ph==SWEEP || ph==SEAL && m_sealed[cur+1] && !must_sweep) ->
#else
  :: atomic { (ph==SWEEP && m_swept[cur+1] || ph==SEAL && m_sealed[cur+1] && !must_sweep) ->
#endif
       if :: m_quar[cur+1] -> quar = true :: else fi;
       assert(!running || adopted || quar);                  /* W: what still runs is adopted or quarantined */
#ifdef WITNESS
       assert(!(forced && running && !adopted))              /* must fail: this is reached                   */
#endif
       cur++; ph = RUN; alive[cur] = true }
  od }

proctype WM(byte e) {
  alive[e];
end: do
  /* the first one submits; a successor submits again, under the same id, what it adopts and what nobody recorded */
  :: atomic { alive[e] && !m_submit[e] && !(ph==DRAIN && cur==e) && (e==1 || adopted || !row) -> m_submit[e] = 1 }
  :: atomic { alive[e] && m_submit[e] && cur==e && !row -> row = true }      /* the journal, until e is over */
  :: atomic { alive[e] && !m_stop[e] && (ph!=DRAIN || !keep) -> m_stop[e] = 1 }
  :: atomic { alive[e] && ph==DRAIN && cur==e &&                            /* drained: ended, handed over, */
       (m_end || handed_over || !m_submit[e]) -> alive[e] = false; m_down[e] = 1 }
  :: atomic { alive[e] && ph==DRAIN && cur==e && row && m_submit[e] && m_stop[e] ->  /* or named as unknown */
       alive[e] = false; quar = true; m_down[e] = 1 }
  od }

inline ended() { mem = ENDED; m_end = true; stop = false;
#ifdef FORGETS_ENDS
  led = NOTHING
#else
  led = END                                     /* on disk: an id that has ended never runs again           */
#endif
}

active proctype Gateway() { byte e;
end: do
  :: atomic { e = 1; do :: e<E -> e++ :: break od;                          /* a command                    */
       if
       :: m_submit[e] && e>=fence && (mem==NONE || e>ep) -> if :: mem==NONE -> mem = QUEUED :: else fi; ep = e
       :: m_stop[e] && e>=fence && mem!=ENDED -> stop = true; ep = (e>ep -> e : ep)
       :: m_seal[e] && e>fence -> fence = e
       :: m_sealed[e]==0 && fence==e && (mem!=POSTING || call>=fence) -> m_sealed[e] = 1
       :: m_sweep[e] && fence==e && !adopted && mem!=ENDED && ep<e && (mem!=NONE || row) -> stop = true
       :: m_sweep[e] && fence==e && (adopted || mem==ENDED || mem==NONE && !row) -> m_swept[e] = 1
       :: m_sweep[e] && fence==e && stop && (mem==UNKNOWN || mem==KNOWN || mem==QUEUED && led==INTENT) ->
          m_quar[e] = 1; m_swept[e] = 1                                     /* not stopped for too long     */
       :: else fi; e = 0 }
  :: atomic { mem==QUEUED && ep>=fence && !stop -> mem = POSTING; call = ep;
#ifndef NO_LEDGER
       led = INTENT; lep = ep                                               /* intent before effect         */
#endif
     }
  :: atomic { mem==POSTING && !snt && posts<2 -> snt = true; posts++; poste = call;
       assert(cur<=call) }                                                  /* D: as in wm_door.pml         */
  :: atomic { mem==POSTING && snt && (running || done) -> mem = KNOWN; snt = false }
  :: atomic { mem==POSTING && snt && tomb -> snt = false; ended() }
  :: atomic { mem==POSTING && snt -> mem = UNKNOWN; snt = false }           /* no answer                    */
  :: atomic { mem==UNKNOWN && running -> mem = KNOWN }                      /* read                         */
  :: atomic { (mem==UNKNOWN || mem==KNOWN) && done -> ended() }
  :: atomic { mem==UNKNOWN && !running && !done && may_repeat && !stop -> mem = QUEUED }
  :: atomic { stop && mem==QUEUED && led==NOTHING -> ended() }              /* never sent                   */
  :: atomic { stop && mem!=POSTING && mem!=ENDED ->                         /* stop, asked at the SP        */
       if
       :: running -> running = false; done = true; ended()
       :: running -> mem = KNOWN; stop = false                              /* it cannot be stopped now     */
       :: done -> ended()
       :: !running && !done -> tomb = tombs; NOTE_EPOCH;
          if :: absent_is_end -> ended() :: else -> mem = UNKNOWN fi
       fi }
  :: atomic { crashes<CRASHES -> crashes++; snt = false; stop = false;      /* kill -9, restart             */
#ifdef LOST_LEDGER
       led = NOTHING;
#endif
       mem = (led==INTENT -> UNKNOWN : (led==END -> ENDED : NONE)); ep = (led==NOTHING -> 0 : lep) }
  od }

active proctype Provider() {
end: do
  :: atomic { posts>0 -> posts--;
       if
       :: tomb || poste<seen || knows_ids && (running || done) -> skip
       :: else -> exec++; running = true; done = false;
          assert(exec<=1);                                                  /* X: one job at most           */
#ifndef ONLY_W
          assert(!m_end);                                                   /* T: an end is the end         */
#endif
          assert(cur<=poste || adopted || quar)                             /* W: as above, for late ones   */
       fi }
  :: atomic { running -> running = false; done = true }
  od }

init { alive[1] = true; atomic { run WM(1); run WM(2); if :: E>2 -> run WM(3) :: else fi } }
