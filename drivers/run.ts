/**
 * Foreign clients through the gateway: `node drivers/run.ts [--direct] [DRIVER…]`. Prints a table of what passed and a
 * closing line; exits 1 when anything failed. `--direct` leaves the gateway out and shows what the drivers themselves do.
 */
import { spawn } from 'node:child_process';
import fs from 'node:fs/promises';
import path from 'node:path';
import readline from 'node:readline';
import { runProgram } from './client-process.ts';
import { DRIVERS, type Driver } from './drivers.ts';
import { startTarget } from './start-target.ts';
import { findTools } from './tools.ts';

const DRIVER_TIMEOUT_MS = 300_000;

interface Result {
  readonly driver: string;
  readonly version: string;
  passed: number;
  readonly failed: string[];
}

const args = process.argv.slice(2);
const direct = args.includes('--direct');
const wanted = args.filter((arg) => !arg.startsWith('--'));
const unknown = wanted.filter((name) => !DRIVERS.some((driver) => driver.name === name));
if (unknown.length > 0) {
  console.error(`unknown driver ${unknown.join(', ')}; there are ${DRIVERS.map(({ name }) => name).join(', ')}`);
  process.exit(2);
}

const results: Result[] = [];
for (const driver of DRIVERS) {
  if (wanted.length === 0 || wanted.includes(driver.name)) results.push(await runDriver(driver));
}
report(results);

async function runDriver(driver: Driver): Promise<Result> {
  console.log(`\n== ${driver.name}`);
  const result: Result = { driver: driver.name, version: driver.version, passed: 0, failed: [] };
  try {
    await findTools(driver.tools);
    for (const [command, ...rest] of driver.prepare) await prepare(command!, rest, driver);
    const target = await startTarget(await driver.postgres(), direct);
    try {
      await check(driver, JSON.stringify(target.target), result);
    } finally {
      await target.stop();
    }
  } catch (error) {
    const reason = (error as Error).message;
    console.log(`not ok ${reason}`);
    result.failed.push(reason.split('\n')[0]!);
  }
  return result;
}

async function prepare(command: string, rest: readonly string[], driver: Driver): Promise<void> {
  await fs.mkdir(cwd(driver), { recursive: true });
  const { code, stdout, stderr } = await runProgram(command, rest, {
    env: process.env as Record<string, string>,
    cwd: cwd(driver),
    timeoutMs: 600_000,
  });
  if (code !== 0) throw new Error(`${command} ${rest.join(' ')} failed:\n${stdout}${stderr}`);
}

function cwd(driver: Driver): string {
  return path.join(import.meta.dirname, driver.name);
}

/** Runs the driver's program and counts its lines; a program that breaks off has failed, whatever it said before. */
async function check(driver: Driver, target: string, result: Result): Promise<void> {
  const [command, ...rest] = driver.run;
  const child = spawn(command!, rest, {
    cwd: cwd(driver),
    env: { ...process.env, POSTERN_TARGET: target },
    stdio: ['ignore', 'pipe', 'inherit'],
    timeout: DRIVER_TIMEOUT_MS,
  });
  const ended = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('close', (code, signal) => resolve(String(code ?? signal)));
  });
  for await (const line of readline.createInterface({ input: child.stdout })) {
    console.log(line);
    if (line.startsWith('ok ')) result.passed += 1;
    else if (line.startsWith('not ok ')) result.failed.push(line.slice('not ok '.length));
  }
  const status = await ended;
  if (status !== '0' && (status !== '1' || result.failed.length === 0)) result.failed.push(`ended with ${status}`);
  if (result.passed + result.failed.length === 0) result.failed.push('ran no check');
}

function report(all: readonly Result[]): void {
  console.log(`\n${direct ? 'Directly, without the gateway' : 'Through the gateway'}:\n`);
  console.log(`  ${'driver'.padEnd(10)} ${'version'.padEnd(20)} passed failed`);
  for (const { driver, version, passed, failed } of all) {
    const counts = `${String(passed).padStart(6)} ${String(failed.length).padStart(6)}`;
    console.log(`  ${driver.padEnd(10)} ${version.padEnd(20)} ${counts}`);
    for (const name of failed) console.log(`             not ok ${name}`);
  }
  const passed = all.reduce((sum, result) => sum + result.passed, 0);
  const failed = all.reduce((sum, result) => sum + result.failed.length, 0);
  console.log(`\n${passed} passed, ${failed} failed`);
  process.exitCode = failed > 0 ? 1 : 0;
}
