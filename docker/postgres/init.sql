-- Run once, by the superuser, in the new database of compose.yaml: the role and the publication that dirtbike needs, and a little
-- made-up data to see it work.
CREATE TABLE public.patients (
  patient_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  mrn text NOT NULL UNIQUE,
  ssn text,
  name text NOT NULL,
  born date NOT NULL,
  zip text
);
CREATE TABLE public.visits (
  visit_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  patient_id bigint NOT NULL REFERENCES public.patients,
  began timestamptz NOT NULL,
  charge numeric(10, 2)
);
INSERT INTO public.patients (mrn, ssn, name, born, zip) VALUES
  ('M-0001', '000-00-0001', 'Ada Example', '1990-05-17', '02139'),
  ('M-0002', '000-00-0002', 'Ben Example', '1931-11-02', '94110'),
  ('M-0003', NULL, 'Cleo Example', '2004-02-29', '60601');
INSERT INTO public.visits (patient_id, began, charge)
  SELECT 1 + n % 3, timestamptz '2026-01-01 08:00Z' + n * interval '7 hours', 40 + n % 17 FROM generate_series(0, 99) n;

-- The password is the secret that dirtbike.yaml reads, too.
DO $$
BEGIN
  EXECUTE format('CREATE ROLE dirtbike LOGIN REPLICATION PASSWORD %L', trim(pg_read_file('/run/secrets/dirtbike_postgres'), E' \n'));
END
$$;
GRANT USAGE ON SCHEMA public TO dirtbike;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO dirtbike;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO dirtbike;

-- New tables of the schema are in it by themselves, and are captured from the next start of dirtbike.
CREATE PUBLICATION dirtbike FOR TABLES IN SCHEMA public;
