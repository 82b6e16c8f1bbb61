// What the journeys share: the target, buyers and events, one way to call, one summary.
//
// BASE_URL, TOKENS_FILE, DURATION and WARM_UP (30s or 2m), SUMMARY_FILE: README.md.

import { check } from 'k6';
import { SharedArray } from 'k6/data';
import exec from 'k6/execution';
import http from 'k6/http';
import { Counter } from 'k6/metrics';

const BASE_URL = required('BASE_URL').replace(/\/$/, '');
const TOKENS_FILE = required('TOKENS_FILE');
export const DURATION = __ENV.DURATION || '30s';
// JVMs, pools and caches of a target that has just started are cold, those of a local stack for a minute (README.md). What comes in this time is held to right answers
// and to no limit on time, and is in no figure.
const WARM_UP_SECONDS = inSeconds(__ENV.WARM_UP || '60s');

const P99_MS_BELOW = 300;
// An iteration is dropped when every VU still waits: a few at the start of a run are no finding.
const DROPPED_SHARE_BELOW = 0.01;
// Longer than the gateway waits for any service: its answer is always seen.
const TIMEOUT = '15s';
const CARD_THAT_IS_PAID = '4242424242424242';

// One copy for all VUs instead of one for each.
const tokens = new SharedArray('tokens', () => prepared().tokens);
export const events = new SharedArray('events', () => prepared().events);
const [validity] = new SharedArray('validity', () => [{ until: prepared().valid_until }]);

const serverErrors = new Counter('server_errors');
// Metrics that are reported with the warm-up in them.
const WHOLE_RUN = ['server_errors', 'checks'];
let surprisesTold = 0;

function required(name) {
  const value = __ENV[name];
  if (!value) {
    throw new Error(`${name} is not set: infra/load/README.md`);
  }
  return value;
}

function inSeconds(duration) {
  return parseInt(duration, 10) * (duration.endsWith('m') ? 60 : 1);
}

function prepared() {
  return JSON.parse(open(TOKENS_FILE));
}

// A metric of what comes after the warm-up, as k6 names it; and its name in our summary.
export const counted = (metric, ...tags) => `${metric}{${['scenario:journey', ...tags]}}`;
const reported = (name) => name.replace('{scenario:journey}', '').replace('{scenario:journey,', '{');

// k6's options with the limits that every journey keeps; `calls` are held to the time each.
export function options({ scenario, calls, thresholds = {} }) {
  // A 5xx or another wrong answer is never fine: these two are about the warm-up as well.
  const limits = { server_errors: ['count==0'], checks: ['rate==1'] };
  limits[counted('http_req_duration')] = [`p(99)<${P99_MS_BELOW}`];
  for (const call of calls) {
    limits[counted('http_req_duration', `name:${call}`)] = [`p(99)<${P99_MS_BELOW}`];
  }
  if (scenario.rate) {
    const people = scenario.rate * inSeconds(DURATION);
    limits[counted('dropped_iterations')] = [`count<${people * DROPPED_SHARE_BELOW}`];
  }
  const scenarios = { journey: { ...scenario, startTime: `${WARM_UP_SECONDS}s` } };
  if (WARM_UP_SECONDS > 0) {
    scenarios.warm_up = { ...scenario, duration: `${WARM_UP_SECONDS}s` };
    limits['http_reqs{scenario:warm_up}'] = [];
  }
  // Without a limit: k6 tells a metric by tag only where it is named here.
  for (const metric of ['http_reqs', 'http_req_blocked', 'http_req_waiting', 'iterations', 'iteration_duration']) {
    limits[counted(metric)] = [];
  }
  return {
    scenarios,
    thresholds: { ...limits, ...thresholds },
    summaryTrendStats: ['avg', 'med', 'p(95)', 'p(99)', 'max', 'count'],
    userAgent: 'ticketing-load',
  };
}

// For `setup`: a token that ends during the run would be a flood of 401.
export function checkTokens() {
  const seconds = WARM_UP_SECONDS + inSeconds(DURATION);
  if (Date.now() / 1000 + seconds > validity.until) {
    exec.test.abort(`the tokens in ${TOKENS_FILE} end before the run does: prepare anew, or run less than 14m with the warm-up`);
  }
}

export const pick = (list) => list[Math.floor(Math.random() * list.length)];
export const buyer = (number) => tokens[number % tokens.length];

export function get(call, path, expected = [200]) {
  return answered(call, expected, http.get(BASE_URL + path, parameters(call)));
}

// 201 with the order, or what else is expected.
export function placeOrder(token, event_id, ticket_type_id, expected = [201]) {
  const body = { event_id, lines: [{ ticket_type_id, quantity: 1 }] };
  return post('place_order', token, '/v1/orders', body, expected);
}

export function payOrder(token, order) {
  const body = { method: { type: 'simulated', card: CARD_THAT_IS_PAID } };
  return post('pay_order', token, `/v1/orders/${order.id}/payment`, body, [200]);
}

function post(call, token, path, body, expected) {
  const headers = {
    Authorization: `Bearer ${token}`,
    'Content-Type': 'application/json',
    'Idempotency-Key': crypto.randomUUID(),
  };
  return answered(call, expected, http.post(BASE_URL + path, JSON.stringify(body), parameters(call, headers)));
}

// `name` groups the figures, else every id would be a line of its own.
function parameters(call, headers = {}) {
  return { headers, timeout: TIMEOUT, tags: { name: call } };
}

function answered(call, expected, response) {
  // 0: no answer at all. The zeros make the counter appear in every summary.
  serverErrors.add(response.status === 0 || response.status >= 500 ? 1 : 0);
  const asExpected = check(response, {
    [`${call}: ${expected.join(' or ')}`]: ({ status }) => expected.includes(status),
  });
  if (!asExpected && surprisesTold++ === 0) {
    // The first of each VU is enough to know why.
    console.error(`${call}: ${response.status} ${response.error || response.body}`);
  }
  return response;
}

// The JSON of SUMMARY_FILE, documented in README.md, and its gist for a person.
export function handleSummary({ metrics, state }) {
  const thresholds = [];
  const figures = {};
  const seconds = Math.max(state.testRunDurationMs / 1000 - WARM_UP_SECONDS, 0);
  for (const [name, { type, values, thresholds: limits = {} }] of Object.entries(metrics)) {
    const metric = reported(name);
    for (const [limit, { ok }] of Object.entries(limits)) {
      thresholds.push({ metric, limit, ok });
    }
    if (metric !== name && type === 'counter') {
      // k6's own rate is over the warm-up as well.
      figures[metric] = { ...values, rate: seconds > 0 ? values.count / seconds : 0 };
    } else if (metric !== name || WHOLE_RUN.includes(name)) {
      figures[metric] = values;
    }
  }
  // An aborted run misses no threshold, and has shown nothing.
  const journeys = figures.iterations ? figures.iterations.count : 0;
  const warmUp = metrics['http_reqs{scenario:warm_up}'];
  const summary = {
    passed: journeys > 0 && thresholds.every(({ ok }) => ok),
    base_url: BASE_URL,
    warm_up: { seconds: WARM_UP_SECONDS, requests: warmUp ? warmUp.values.count : 0 },
    seconds,
    journeys,
    thresholds,
    metrics: figures,
  };
  const outputs = { stdout: gist(summary) };
  if (__ENV.SUMMARY_FILE) {
    outputs[__ENV.SUMMARY_FILE] = JSON.stringify(summary, null, 2);
  }
  return outputs;
}

function gist({ warm_up, journeys, thresholds, metrics }) {
  if (journeys === 0) {
    return '  no journey ended\n';
  }
  const before = warm_up.seconds > 0
    ? `after a warm-up of ${warm_up.seconds} s, whose ${warm_up.requests} requests are in no time or count below, but in server_errors and checks`
    : 'without a warm-up';
  const lines = thresholds.map(({ metric, limit, ok }) => {
    const stat = limit.match(/^[^<>=]+/)[0];
    // k6 leaves out a metric that nothing was added to, such as iterations that were never dropped.
    const value = metrics[metric][stat] ?? 0;
    return `  ${ok ? 'ok    ' : 'FAILED'} ${metric} ${limit}: ${Number(value.toPrecision(6))}`;
  });
  const { count, rate } = metrics.http_reqs;
  lines.push(`  ${journeys} journeys, ${count} requests, ${rate.toFixed(0)} requests/s`);
  return `  ${before}\n${lines.join('\n')}\n`;
}
