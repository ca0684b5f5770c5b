-- The queue's table as it is before indexocr comes: the least that the contract promises.
CREATE TABLE extraction_queue (
    id                   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    document_number      text,
    document_source      text NOT NULL,
    supabase_path        text,
    status_id            int  NOT NULL,
    worker_id            text,
    file_content         jsonb,
    boosted_file_content jsonb,
    created_at           timestamptz NOT NULL DEFAULT now()
);
