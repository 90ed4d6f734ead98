/**
 * The configuration of one running Lightbox, read once from the environment.
 *
 * Layer:  server/platform.
 */
import { join, resolve } from 'node:path';
import { SETTINGS, type Setting, type SettingName } from './settings.ts';
import type { TlsProfileName } from './tls-profile.ts';

export interface Config {
  /** Absolute. */
  readonly dataDir: string;
  readonly http: { readonly host: string; readonly port: number };
  readonly dicom: {
    readonly host: string;
    readonly port: number;
    readonly aeTitle: string;
    readonly tls: {
      /** 0: none. */
      readonly port: number;
      readonly clients: 'required' | 'optional';
      readonly profile: TlsProfileName;
    };
    readonly maxAssociations: number;
    readonly maxPerAddress: number;
    readonly maxPerAe: number;
    readonly maxPdu: number;
    readonly idleSeconds: number;
    readonly artimSeconds: number;
    readonly retrievesPerPeer: number;
  };
  readonly commitment: {
    /** Given up after. */
    readonly days: number;
    /** First wait; twice as long each time. */
    readonly retrySeconds: number;
    readonly keepDays: number;
  };
  readonly workitems: {
    /** First wait of events that could not be told; twice as long each time. */
    readonly retrySeconds: number;
    readonly keepDays: number;
  };
  readonly transfers: {
    readonly perDestination: number;
    readonly retrySeconds: number;
    readonly attempts: number;
  };
  /** Absolute. */
  readonly rulesFile: string;
  /** undefined: the built-in PostgreSQL. */
  readonly databaseUrl: string | undefined;
  readonly socketDir: string | undefined;
  readonly quietSeconds: number;
  /** A series without a new object for so long is packed. */
  readonly sealSeconds: number;
  /** New objects are refused below so many free bytes. */
  readonly highWaterBytes: number;
  readonly idleLockSeconds: number;
  /** Without a slash at the end. undefined: http://localhost:<port>. */
  readonly publicUrl: string | undefined;
  readonly logLevel: 'silent' | 'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'trace';
}

type Environment = Readonly<Record<string, string | undefined>>;

/** @throws Fault CONFIG_VALUE naming the variable and what it may be; never its value, which may be a secret. */
export function loadConfig(env: Environment): Config {
  const read = <N extends SettingName>(name: N): ReturnType<(typeof SETTINGS)[N]['parse']> => {
    const one = SETTINGS[name] as Setting<ReturnType<(typeof SETTINGS)[N]['parse']>>;
    const given = env[one.env]?.trim();
    return one.parse(given === undefined || given === '' ? one.default : given);
  };
  return {
    dataDir: resolve(read('dataDir')),
    http: { host: read('httpHost'), port: read('httpPort') },
    dicom: {
      host: read('dicomHost'),
      port: read('dicomPort'),
      aeTitle: read('aeTitle'),
      tls: { port: read('dicomTlsPort'), clients: read('dicomTlsClients'), profile: read('dicomTlsProfile') },
      maxAssociations: read('maxAssociations'),
      maxPerAddress: read('maxPerAddress'),
      maxPerAe: read('maxPerAe'),
      maxPdu: read('maxPdu'),
      idleSeconds: read('dicomIdleSeconds'),
      artimSeconds: read('artimSeconds'),
      retrievesPerPeer: read('retrievesPerPeer'),
    },
    commitment: {
      days: read('commitmentDays'),
      retrySeconds: read('commitmentRetrySeconds'),
      keepDays: read('commitmentKeepDays'),
    },
    workitems: { retrySeconds: read('workitemRetrySeconds'), keepDays: read('workitemKeepDays') },
    transfers: {
      perDestination: read('transfersPerDestination'),
      retrySeconds: read('transferRetrySeconds'),
      attempts: read('transferAttempts'),
    },
    rulesFile: resolve(read('rulesFile') ?? join(read('dataDir'), 'rules.json')),
    databaseUrl: read('databaseUrl'),
    socketDir: read('processFolder'),
    quietSeconds: read('quietSeconds'),
    sealSeconds: read('sealSeconds'),
    highWaterBytes: read('minFreeBytes'),
    idleLockSeconds: read('idleLockSeconds'),
    publicUrl: read('publicUrl'),
    logLevel: read('logLevel'),
  };
}
