/* Every replacement comes to an end: DRAIN -> SEAL -> SWEEP -> RUN, with lost messages and dying processes.
 *
 * One tenant, two fleets, two gateways. Here a message is a thing that can be lost: it is taken away by its reader, or by
 * the network, LOSSES times in all. Processes are killed and restarted at most once each; one fleet may fall silent and
 * one gateway may go, both for ever. What is checked holds under weak fairness (a step that stays possible is taken):
 *   replaced   a replacement that has begun ends with a new epoch
 *   converges  in the end the last epoch runs, and its Work Manager (WM) lives
 * How to run, what each knob (-DNAME) removes, and which code keeps the rule: README.md.
 * -DDOOR: a silent host does not stop a replacement (proof: door). Without it proof: strict, and no host falls silent. */

#ifndef LOSSES
#define LOSSES 1
#endif
mtype = { RUN, DRAIN, SEAL, SWEEP };

/* ---- PostgreSQL ---- */
byte  cur = 1, row_h = 0;  bit row_b = 0;  mtype ph = RUN;
bool  forced = false;
/* ---- the registry's memory ---- */
bool  is_active = false;                        /* WM(cur) has acknowledged its start                       */
bool  v_sealed[2], v_swept[2];
byte  started = 0;                              /* last start sent: only for START_ONCE                     */
bool  wanted = false, wanted_once = false, crashed = false;
/* ---- messages ---- */
bool  m_start, m_started, m_drain, m_down;      /* of epoch `cur`: older ones change nothing (wm_epoch.pml)  */
bool  m_seal[2], m_sealed[2], m_sweep[2], m_swept[2];
byte  losses = 0;
/* ---- fleets ---- */
byte  live[2], top[2];  bit boot[2];  bool silent[2];
byte  answered[2];                              /* last drain answered: only for ONE_ANSWER                 */
/* ---- gateways ---- */
byte  fence[2];                                 /* only for ONE_SEALED                                      */
bool  gone[2];                                  /* for ever, for so long that its hold is over              */
bool  stuck[2];                                 /* a job there cannot be stopped                            */

#define newer      (boot[row_h]!=row_b)         /* proof of death by a newer process                        */
#ifdef DOOR
#define given_up   silent[row_h]                /* silent for replace_after                                 */
#else
#define given_up   false
#endif
#ifdef WAIT_FOR_GONE
#define counts(g)  true
#else
#define counts(g)  (!gone[g])
#endif
#define all_sealed ((v_sealed[0] || !counts(0)) && (v_sealed[1] || !counts(1)))
#define all_swept  ((v_swept[0] || !counts(0)) && (v_swept[1] || !counts(1)))

#ifdef START_ONCE
#define may_repeat (started<cur)
#define note_start started = cur
#else
#define may_repeat true
#define note_start skip
#endif
#ifdef ONE_ANSWER
#define answers(h) (answered[h]<cur)
#define note_answer(h) answered[h] = cur
#else
#define answers(h) true
#define note_answer(h) skip
#endif
#ifdef NO_TOMBSTONE
#define knows(h)   (live[h]==cur || top[h]>=cur)
#else
#define knows(h)   true                         /* also of a WM that never ran there                        */
#endif
#ifdef ONE_SEALED
#define seals(g)   (fence[g]<=cur)
#define note_fence(g) fence[g] = cur+1
#else
#define seals(g)   true                         /* it answers as often as it is asked                       */
#define note_fence(g) skip
#endif
#ifdef NO_QUARANTINE
#define sweeps(g)  (!stuck[g])
#else
#define sweeps(g)  true                         /* what does not stop in time goes to the quarantine        */
#endif

inline forget() { v_sealed[0] = false; v_sealed[1] = false; v_swept[0] = false; v_swept[1] = false; is_active = false }

active proctype Registry() { byte h;
end: do
  /* RUN: the start again until it is acknowledged; a replacement when asked for, or when the WM is gone */
  :: atomic { ph==RUN && !is_active && !m_start && !m_started && !newer && may_repeat -> m_start = true; note_start }
  :: atomic { ph==RUN && m_started -> m_started = false; is_active = true }
  :: atomic { ph==RUN && (wanted || newer || given_up) -> wanted = false; ph = DRAIN; forced = false }
  /* DRAIN */
  :: atomic { ph==DRAIN && !m_drain && !m_down && !newer && !given_up -> m_drain = true }
  :: atomic { ph==DRAIN && m_down -> m_down = false; ph = SEAL }
  :: atomic { ph==DRAIN && (newer || given_up) -> ph = SEAL; forced = true }
  /* SEAL, SWEEP: each gateway again until it has answered; one that is gone does not count */
  :: atomic { ph==SEAL && counts(0) && !v_sealed[0] && !m_seal[0] && !m_sealed[0] -> m_seal[0] = true }
  :: atomic { ph==SEAL && counts(1) && !v_sealed[1] && !m_seal[1] && !m_sealed[1] -> m_seal[1] = true }
  :: atomic { m_sealed[0] -> m_sealed[0] = false; v_sealed[0] = (ph==SEAL) }
  :: atomic { m_sealed[1] -> m_sealed[1] = false; v_sealed[1] = (ph==SEAL) }
  :: atomic { ph==SEAL && all_sealed && forced -> ph = SWEEP }
  :: atomic { ph==SWEEP && counts(0) && !v_swept[0] && !m_sweep[0] && !m_swept[0] -> m_sweep[0] = true }
  :: atomic { ph==SWEEP && counts(1) && !v_swept[1] && !m_sweep[1] && !m_swept[1] -> m_sweep[1] = true }
  :: atomic { m_swept[0] -> m_swept[0] = false; v_swept[0] = (ph==SWEEP) }
  :: atomic { m_swept[1] -> m_swept[1] = false; v_swept[1] = (ph==SWEEP) }
  :: atomic { (ph==SEAL && all_sealed && !forced || ph==SWEEP && all_swept) ->
       if :: !silent[0] -> h = 0 :: !silent[1] -> h = 1 fi;                 /* a fleet that is online       */
       cur++; row_h = h; row_b = boot[h]; ph = RUN; h = 0;
       m_start = false; m_started = false; m_drain = false; m_down = false; forget() }
  od }

proctype Fleet(byte h) {
end: do
  :: atomic { m_start && row_h==h && !silent[h] -> m_start = false;
       if
       :: row_b==boot[h] && cur>top[h] -> live[h] = cur; top[h] = cur; m_started = true
       :: row_b==boot[h] && live[h]==cur -> m_started = true                /* again                        */
       :: else
       fi }
  :: atomic { m_drain && row_h==h && !silent[h] -> m_drain = false;
       if
       :: row_b==boot[h] && answers(h) && knows(h) ->
          if :: live[h]==cur -> live[h] = 0 :: else fi;
          top[h] = cur; note_answer(h); m_down = true
       :: else
       fi }
  od }

proctype Gateway(byte g) {
#ifdef NO_QUARANTINE
  if :: stuck[g] = true :: stuck[g] = false fi;
#endif
end: do
  :: atomic { m_seal[g] && !gone[g] -> m_seal[g] = false;
       if :: seals(g) -> note_fence(g); m_sealed[g] = true :: else fi }
  :: atomic { m_sweep[g] && !gone[g] -> m_sweep[g] = false;
       if :: sweeps(g) -> m_swept[g] = true :: else fi }
  od }

/* What the world does, until it leaves the system alone: it may stop at any time, fairness must not force a fault. */
#define LOSE(m) :: atomic { losses<LOSSES && m -> losses++; m = false }
#define KILL(h) :: atomic { boot[h]==0 && !silent[h] -> boot[h] = 1; live[h] = 0; top[h] = 0; answered[h] = 0 }
active proctype World() { bit tick = 0;
  do
  LOSE(m_start) LOSE(m_started) LOSE(m_drain) LOSE(m_down)
  LOSE(m_seal[0]) LOSE(m_seal[1]) LOSE(m_sealed[0]) LOSE(m_sealed[1])
  LOSE(m_sweep[0]) LOSE(m_sweep[1]) LOSE(m_swept[0]) LOSE(m_swept[1])
  KILL(0) KILL(1)
#if defined(DOOR) || defined(SILENT)
  :: atomic { !silent[0] && !silent[1] -> silent[0] = true }
  :: atomic { !silent[0] && !silent[1] -> silent[1] = true }
#endif
  :: atomic { !gone[0] && !gone[1] -> gone[0] = true }
  :: atomic { !wanted && !wanted_once -> wanted = true; wanted_once = true }/* the operator wants a change  */
  :: atomic { !crashed -> crashed = true; forget();                         /* the registry: killed, restarted */
#ifdef NO_RESUME
       ph = RUN                                                             /* it does not read where it was */
#endif
     }
  :: break
  od;
  do :: tick = 1-tick od }  /* time goes on: without a step that is always possible, Spin (-f) overlooks a standstill */

init { atomic {
#ifdef SMALL
    gone[1] = true;                                                         /* one gateway that always answers */
#endif
    run Fleet(0); run Fleet(1); run Gateway(0); run Gateway(1) } }

ltl replaced  { [] (ph==DRAIN -> <> (ph==RUN)) }
ltl converges { <> [] (ph==RUN && live[row_h]==cur) }
