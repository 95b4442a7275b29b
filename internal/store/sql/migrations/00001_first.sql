-- +goose Up
CREATE TABLE verdicts (
  digest   TEXT PRIMARY KEY,
  scanned  BIGINT NOT NULL,  -- milliseconds since 1970, as all times here
  scanner  TEXT NOT NULL,
  database TEXT NOT NULL,
  packages INTEGER NOT NULL,
  body     BLOB NOT NULL     -- asset, findings, coverage: JSON, zstd
);
CREATE INDEX verdicts_scanned ON verdicts (scanned);

CREATE TABLE reviews (
  id        INTEGER PRIMARY KEY,
  time      BIGINT NOT NULL,
  namespace TEXT NOT NULL,
  allowed   BOOLEAN NOT NULL,
  body      BLOB NOT NULL    -- the review: JSON
);
CREATE INDEX reviews_time ON reviews (time);
CREATE INDEX reviews_namespace ON reviews (namespace, time);

CREATE TABLE results (
  uid       TEXT PRIMARY KEY,
  cluster   TEXT NOT NULL,
  namespace TEXT NOT NULL,
  kind      TEXT NOT NULL,
  judged    BIGINT NOT NULL,
  decided   BOOLEAN NOT NULL,
  body      BLOB NOT NULL    -- the result: JSON, zstd
);
CREATE INDEX results_judged ON results (cluster, judged);
CREATE INDEX results_namespace ON results (namespace, uid);

CREATE TABLE sightings (
  id    TEXT PRIMARY KEY,
  first BIGINT NOT NULL,
  last  BIGINT NOT NULL
);
CREATE INDEX sightings_last ON sightings (last);

-- +goose Down
DROP TABLE sightings;
DROP TABLE results;
DROP TABLE reviews;
DROP TABLE verdicts;
