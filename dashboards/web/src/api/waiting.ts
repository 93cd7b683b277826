// Devices that were heard and that nobody has registered, as the API says them.

export type CandidateState = "waiting" | "accepted" | "refused";

export interface Candidate {
  readonly id: number;
  readonly state: CandidateState;
  readonly identity_kind: "dev_eui" | "name" | "serial";
  readonly identity: string;
  readonly fingerprint: string;
  readonly rivals: number;
  readonly is_expected: boolean;
  readonly present: string | null;
  readonly source: string;
  readonly topic: string;
  readonly first_heard_at: number;
  readonly last_heard_at: number;
  readonly messages: number;
  readonly sample: string;
  readonly name: string;
  readonly kind: string | null;
  readonly label: string;
  readonly brand: string;
  readonly model: string;
  readonly quantities: readonly string[];
  readonly fields: readonly string[];
  readonly gateway: string | null;
  readonly latitude: number | null;
  readonly longitude: number | null;
  readonly decided_at: number | null;
  readonly decided_by: string | null;
  readonly device: string | null;
}

export interface CandidateList {
  readonly candidates: readonly Candidate[];
  readonly counts: Readonly<Record<CandidateState, number>>;
}

/** What a device needs to come in; the password is shown this once. */
export interface Credential {
  readonly device: string;
  readonly host: string;
  readonly port: number;
  readonly is_tls: boolean;
  readonly username: string;
  readonly password: string;
  readonly topics: Readonly<Record<string, string>>;
  readonly address: string;
  readonly qr_svg: string;
}

export interface Acceptance {
  readonly name: string;
  readonly kind: string;
  readonly label: string;
  readonly area: string;
  readonly latitude: number | null;
  readonly longitude: number | null;
  readonly codec: string | null;
  readonly replaces: boolean;
  readonly since_first_heard: boolean;
  readonly is_sure: boolean;
}

export interface Accepted {
  readonly device: string;
  readonly kind: string;
  readonly resubmitted: number;
  readonly credential: Credential | null;
}
